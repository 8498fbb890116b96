"""A request and a model -> a job: everything decided before anything is drawn."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from inkwash.core.boxes import Box
from inkwash.core.estimates import LATENT_PIXELS, TILES, autoencoder_memory, banded_memory, unet_memory
from inkwash.core.limits import Limits
from inkwash.core.request import GenerateRequest, Region
from inkwash.core.resizing import Size
from inkwash.generation.canvas import Canvas, canvas_of, drawing_size
from inkwash.generation.prepare import sampling_of, settle
from inkwash.generation.refine import Enlarging, enlarging_of
from inkwash.generation.regions import region_shares
from inkwash.generation.sd_upscale import Mosaic, mosaic_of
from inkwash.generation.suits import check_depth, check_enlarging
from inkwash.generation.tasks import Refiner, Sampling
from inkwash.generation.tiled import tiles_of
from inkwash.generation.wording import Library, Wording, word
from inkwash.imaging.restoring import Restoring
from inkwash.imaging.upscale import Upscaler
from inkwash.models.stable_diffusion import StableDiffusion


@dataclass(frozen=True)
class Picture:
    """One picture of a job: what differs from its neighbours."""

    index: int
    seed: int
    subseed: int
    wording: Wording
    hires_wording: Wording | None = None  # where the second pass has prompts of its own
    regions: tuple[Region, ...] = ()  # with their prompts worded and their seeds this picture's


@dataclass(frozen=True, eq=False)
class Job:
    """A settled request on a loaded model."""

    model: StableDiffusion
    request: GenerateRequest
    sampling: Sampling
    pictures: tuple[Picture, ...]
    canvas: Canvas | None = None  # of a request that starts from a picture
    enlarging: Enlarging | None = None  # its hires pass
    refiner: Refiner | None = None
    source_upscaler: Upscaler | None = None  # of the picture it starts from
    mosaic: Mosaic | None = None  # of SD upscale
    faces: Restoring | None = None  # of what was drawn, before it is put back into what was there

    @property
    def last_model(self) -> StableDiffusion:
        """The one whose latents are decoded."""
        return self.enlarging.model if self.enlarging else self.model

    @property
    def size(self) -> Size:
        """Pixels of the finished picture, or of what is drawn for it."""
        if self.mosaic:
            return self.mosaic.size
        return self.enlarging.size if self.enlarging else drawing_size(self.request)

    @property
    def decoded(self) -> Size:
        """Pixels of what the decoder makes at once."""
        return self.mosaic.tile if self.mosaic else self.size

    @property
    def sigmas(self) -> list[float]:
        """Of every pass, one after another."""
        later = self.enlarging.sampling.sigmas.tolist() if self.enlarging else []
        return [*self.sampling.sigmas.tolist() * self.tiles, *later]

    @property
    def steps(self) -> tuple[int, int]:
        """Of the first pass, and of the hires pass."""
        first = (len(self.sampling.sigmas) - 1) * self.tiles
        return first, len(self.enlarging.sampling.sigmas) - 1 if self.enlarging else 0

    @property
    def tiles(self) -> int:
        """Pictures that one is put together from."""
        return len(self.mosaic.boxes) if self.mosaic else 1

    def batches(self) -> Iterator[tuple[Picture, ...]]:
        """Pictures that are drawn side by side, in order."""
        size = self.request.batch_size
        for first in range(0, len(self.pictures), size):
            yield self.pictures[first : first + size]


def plan(
    request: GenerateRequest,
    model: StableDiffusion,
    library: Library,
    others: Mapping[str, StableDiffusion] | None = None,
    upscaler: Upscaler | None = None,
    source_upscaler: Upscaler | None = None,
    limits: Limits | None = None,
    depth: Image.Image | None = None,
    faces: Restoring | None = None,
) -> Job:
    """Decide everything before anything is drawn.  others: hires and refiner models, by name.

    upscaler, source_upscaler: of pictures, where the hires pass names one, or the picture to start from is enlarged.
    limits: of what may be asked for.  depth: as estimated of the picture, where the request gives none.
    faces: how they are restored.

    Raises InvalidRequest.
    """
    check_enlarging(request, model, [*(others or {}).values()])
    settled = settle(request, model.spec.native_size, limits, enlarges=model.enlarges)
    varied = settled.subseed_strength > 0  # then the seed stands still and the subseed counts
    pictures = tuple(
        Picture(
            index,
            seed=settled.seed + (0 if varied else index),
            subseed=settled.subseed + (index if varied else 0),
            wording=word(settled, settled.seed + index, library),
            hires_wording=_hires_wording(settled, settled.seed + index, library),
            regions=_regions(settled, index, library),
        )
        for index in range(settled.batch_size * settled.batch_count)
    )
    others = others or {}
    sampling, hires = sampling_of(settled, model.noise_schedule), settled.hires
    later = others.get(hires.model or "", model) if hires else model
    enlarging = enlarging_of(settled, hires, later, sampling, upscaler) if hires else None
    last = enlarging.sampling if enlarging else sampling
    check_depth(settled, [model, later, *others.values()], depth is not None)
    _check_tiles(settled, model.latent_factor, [drawing_size(settled), *([enlarging.size] if enlarging else [])])
    redrawn = settled.sd_upscale
    return Job(
        model,
        settled,
        sampling,
        pictures,
        canvas=None if redrawn else canvas_of(settled, model.enlarges, depth),
        enlarging=enlarging,
        refiner=_refiner(settled, others, last),
        source_upscaler=source_upscaler,
        mosaic=mosaic_of(settled, redrawn, model.latent_factor) if redrawn else None,
        faces=faces,
    )


def _regions(request: GenerateRequest, index: int, library: Library) -> tuple[Region, ...]:
    """The regions as one picture draws them."""
    later = 0 if request.subseed_strength > 0 else index
    told = []
    for region in request.tiled.regions if request.tiled else ():
        own = dataclasses.replace(request, prompt=region.prompt, negative_prompt=region.negative_prompt, styles=())
        worded = word(own, request.seed + index, library)
        seed = region.seed + later if region.seed >= 0 else region.seed
        prompts = {"prompt": worded.full_prompt, "negative_prompt": worded.full_negative_prompt}
        told.append(dataclasses.replace(region, seed=seed, **prompts))  # type: ignore[arg-type]
    return tuple(told)


def _check_tiles(request: GenerateRequest, factor: int, sizes: Sequence[Size]) -> None:
    """Tiles and regions of every pass.  Raises InvalidRequest."""
    for width, height in sizes if request.tiled else ():
        assert request.tiled is not None
        tiles_of(request.tiled, Box(0, 0, height // factor, width // factor))
        if request.tiled.regions:
            region_shares(request.tiled, (height // factor, width // factor))


def _hires_wording(request: GenerateRequest, seed: int, library: Library) -> Wording | None:
    """The second pass's own prompts, where it has any; what is left empty is as in the first pass."""
    hires = request.hires
    if hires is None or not (hires.prompt or hires.negative_prompt):
        return None
    prompt, negative = hires.prompt or request.prompt, hires.negative_prompt or request.negative_prompt
    return word(dataclasses.replace(request, prompt=prompt, negative_prompt=negative), seed, library)


def _refiner(request: GenerateRequest, others: Mapping[str, StableDiffusion], sampling: Sampling) -> Refiner | None:
    """sampling: of the last pass, which is the one a refiner takes part in."""
    if request.refiner is None:
        return None
    return Refiner(others[request.refiner], math.ceil(request.refiner_switch_at * sampling.calls))


def memory_of(job: Job) -> int:
    """Bytes that drawing takes beside the weights at the least, by estimate: one row a call, the smallest tiles."""
    model, tiled, factor = job.last_model, job.request.tiled, job.last_model.latent_factor
    seen, pixels = job.decoded, job.decoded[0] * job.decoded[1]
    if tiled is not None:
        seen = min(seen[0], tiled.tile_width * factor), min(seen[1], tiled.tile_height * factor)
    latents = seen[0] * seen[1] // factor**2  # a pixel: in the x4 upscaler four times the usual
    unet = unet_memory(latents * LATENT_PIXELS, 1, model.dtype, model.spec.unet.channels[0])
    width, dtype = model.spec.vae.channels[0], model.vae_dtype
    tiles = banded_memory(factor * TILES[-1], dtype, width)
    return max(unet, min(autoencoder_memory(pixels, dtype, width), tiles))
