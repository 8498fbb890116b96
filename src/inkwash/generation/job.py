"""A request and a model -> one run a picture."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from inkwash import __version__
from inkwash.core import infotext
from inkwash.core.boxes import Box
from inkwash.core.errors import Enough, InkwashError
from inkwash.core.estimates import LATENT_PIXELS, TILES, autoencoder_memory, banded_memory, unet_memory
from inkwash.core.limits import Limits
from inkwash.core.masks import flattened
from inkwash.core.progress import Decoding, Drawn, Progress, Started, Step
from inkwash.core.request import GenerateRequest, HiresPass, Region
from inkwash.core.resizing import Size, scaled
from inkwash.diffusion.noise import PictureNoise
from inkwash.generation.canvas import Canvas, canvas_of, drawing_size, enlarged
from inkwash.generation.cautions import cautions
from inkwash.generation.conditioning import TextSettings
from inkwash.generation.latents import Source, source_of
from inkwash.generation.pictures import as_image
from inkwash.generation.prepare import sampling_of, settle
from inkwash.generation.refine import Enlarging, enlarge, enlarging_of, second_pass
from inkwash.generation.regions import box_of, region_shares
from inkwash.generation.run import Decode, Encode, Enlarge, RestoreFaces, Run
from inkwash.generation.sd_upscale import Mosaic, mosaic_of, tile_by_tile
from inkwash.generation.suits import check_depth, check_enlarging
from inkwash.generation.tasks import Drawing, Refiner, RegionWish, Sampling, Watch, Wishes, img2img, txt2img, upscale
from inkwash.generation.tiled import tiles_of
from inkwash.generation.wording import Library, Wording, word
from inkwash.imaging.restoring import Restoring
from inkwash.imaging.upscale import Upscaler
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.prompt import advise, load_tokenizer, parse_networks

ADVISED = 10_000
"""Characters of a prompt that advice is given on; reading more closely what no person typed would cost a second."""


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


class EndedEarly(Exception):
    """Leaves a picture's run with what was seen in it last.  denoised: (4, h, w), of that pass's model and size."""

    def __init__(self, model: StableDiffusion, denoised: Tensor, step: int) -> None:
        super().__init__(step)
        self.model = model
        self.denoised = denoised
        self.step = step


@dataclass(frozen=True, eq=False)
class Made:
    """A picture and its latents, (4, h, w) float32 on the CPU.  step: at which it was ended early, if it was."""

    latents: Tensor
    image: Image.Image
    step: int | None = None


@dataclass(frozen=True, eq=False)
class Finish:
    """What one picture's run returns."""

    latents: Tensor  # (4, h, w) float32 on the CPU
    image: Image.Image
    infotext: str


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


@dataclass(frozen=True)
class Origin:
    """Names and short hashes of the files a job draws with, as A1111 writes them; None: the model file's own VAE."""

    model_name: str
    model_hash: str | None = None
    vae_name: str | None = None
    vae_hash: str | None = None
    hires_name: str | None = None  # with its hash, as A1111's titles have it
    refiner_name: str | None = None


def infotext_of(job: Job, picture: Picture, origin: Origin) -> str:
    """The text that draws this one picture again."""
    wording = picture.wording
    alone = dataclasses.replace(
        job.request,
        prompt=wording.full_prompt,
        negative_prompt=wording.full_negative_prompt,
        styles=(),
        hires=_hires_told(job, picture.hires_wording, origin),
        **_tiles_told(job, picture),
        refiner=origin.refiner_name or job.request.refiner,
    )
    return infotext.write(
        alone,
        seed=picture.seed,
        subseed=picture.subseed,
        model_name=origin.model_name,
        model_hash=origin.model_hash,
        vae_name=origin.vae_name,
        vae_hash=origin.vae_hash,
        version=f"Inkwash {__version__}",
    )


def _tiles_told(job: Job, picture: Picture) -> dict[str, Any]:
    """Regions as they were drawn, and the upscaler by its own name."""
    tiled, upscale, used = job.request.tiled, job.request.sd_upscale, job.source_upscaler
    if tiled is not None:
        name = used.name if used and tiled.upscaler and upscale is None else tiled.upscaler
        tiled = dataclasses.replace(tiled, regions=picture.regions, upscaler=name)
    if upscale is not None and used is not None:
        upscale = dataclasses.replace(upscale, upscaler=used.name)
    return {"tiled": tiled, "sd_upscale": upscale}


def _hires_told(job: Job, wording: Wording | None, origin: Origin) -> HiresPass | None:
    hires = job.request.hires
    if hires is None or job.enlarging is None:
        return None
    prompt, negative = (wording.full_prompt, wording.full_negative_prompt) if wording else ("", "")
    used = job.enlarging.upscaler
    return dataclasses.replace(
        hires,
        model=origin.hires_name or hires.model,
        prompt=prompt,
        negative_prompt=negative,
        upscaler=used if isinstance(used, str) else used.name,
    )


def warnings_of(job: Job) -> list[str]:
    """What the person should know though nothing is wrong: prompt advice, tags that did nothing."""
    wording, tokenizer, note = job.pictures[0].wording, load_tokenizer(), job.model.spec.note
    said = [f"{job.model.spec.name}: {note}"] if note else []
    said += cautions(job.model.spec, job.request)
    for prefix, text in (("", wording.full_prompt), ("Negative prompt: ", wording.full_negative_prompt)):
        said += [f"{prefix}{advice.where}: {advice.message}" for advice in advise(text[:ADVISED], tokenizer)]
    left_out = [f"<{network.kind}:{network.name}>" for network in wording.networks]
    return said + [f"{tag} was left out: this version has no adapters yet." for tag in left_out]


def draw(job: Job, picture: Picture, text: str, tell: Progress) -> Run[Finish]:
    """The whole of one picture, from its prompt to its pixels.  text: its infotext.

    Ended early, it is decoded as the model sees it by then, at the size of the pass under way, and its text says so.
    """
    made = yield from (drawn(job, picture, tell) if job.mosaic is None else upscaled(job, job.mosaic, picture, tell))
    text = text if made.step is None else f"{text}, Ended at step: {made.step}"
    tell(Drawn(picture.index, len(job.pictures), made.image, text, picture.seed, made.step))
    return Finish(made.latents, made.image, text)


def drawn(job: Job, picture: Picture, tell: Progress) -> Run[Made]:
    """The picture at once."""
    canvas = yield from _canvas(job)
    try:
        drawing, model, step = (yield from passes(job, picture, canvas, tell)), job.last_model, None
    except EndedEarly as early:
        drawing, model, step = Drawing(early.denoised), early.model, early.step
    _check_finite(drawing.latents, picture)
    tell(Decoding(picture.index, len(job.pictures)))
    image = yield from _with_faces(job, as_image((yield Decode(model, drawing.latents))))
    if canvas is not None:
        image = canvas.finish(image, None if drawing.moved is None else as_image(drawing.moved.cpu()))
    return Made(drawing.latents.cpu(), image, step)


def upscaled(job: Job, mosaic: Mosaic, picture: Picture, tell: Progress) -> Run[Made]:
    """SD upscale.  Each tile has the next seed, as in A1111; ended early, those to come stay as they were enlarged."""
    assert job.request.init_image is not None
    assert job.source_upscaler is not None
    large: Image.Image = yield Enlarge(job.source_upscaler, flattened(job.request.init_image), mosaic.size)
    steps, ended = len(job.sampling.sigmas) - 1, list[int]()

    def one(number: int, pixels: Image.Image) -> Run[Tensor]:
        own = dataclasses.replace(picture, seed=picture.seed + number)
        source = source_of(Canvas(pixels), job.request)
        if ended:
            encoded: Tensor = yield Encode(job.model, source.picture)
            return encoded
        wishes, noise = wishes_of(job, picture, picture.wording), noise_of(job, own, mosaic.tile)
        watch = _watch(job, picture, tell, job.model, job.sampling, number * steps)
        try:
            drawing = yield from img2img(job.model, wishes, job.sampling, source, noise, watch, job.refiner)
        except EndedEarly as early:
            ended.append(early.step)
            drawing = Drawing(early.denoised)
        _check_finite(drawing.latents, picture)
        return drawing.latents

    latents, whole = yield from tile_by_tile(job.model, mosaic, large, one, job.request.keep_structure or 0.0)
    tell(Decoding(picture.index, len(job.pictures)))
    colours = large if job.request.color_correction else None
    image = Canvas(large, colours=colours).finish((yield from _with_faces(job, as_image(whole))))
    return Made(latents, image, ended[0] if ended else None)


def _with_faces(job: Job, image: Image.Image) -> Run[Image.Image]:
    return image if job.faces is None else (yield RestoreFaces(job.faces, image))


def _canvas(job: Job) -> Run[Canvas | None]:
    """What is drawn on; the picture it shows is enlarged first, where that is asked for."""
    tiled, image = job.request.tiled, job.request.init_image
    if job.source_upscaler is None or tiled is None or image is None:
        return job.canvas
    large: Image.Image = yield Enlarge(job.source_upscaler, flattened(image), scaled(image.size, tiled.scale))
    depth = None if job.canvas is None else job.canvas.depth
    return canvas_of(enlarged(job.request, large), job.model.enlarges, depth)


def _check_finite(latents: Tensor, picture: Picture) -> None:
    if not bool(torch.isfinite(latents).all()):
        raise InkwashError(
            f"Picture {picture.index + 1} turned into numbers that are not finite (NaN) and cannot be shown.",
            "Use float32 (--dtype float32), a lower CFG scale or another sampler; if it stays, the file is damaged.",
        )


def passes(job: Job, picture: Picture, canvas: Canvas | None, tell: Progress) -> Run[Drawing]:
    """The first pass, and the second where there is one.  Raises EndedEarly."""
    source = source_of(canvas, job.request) if canvas else None
    drawing = yield from first_pass(job, picture, source, tell)
    if job.enlarging is None:
        return drawing
    original = yield from enlarge(job.model, drawing.latents, job.enlarging)
    latents = yield from second_pass(
        job.enlarging,
        original,
        wishes_of(job, picture, picture.hires_wording or picture.wording),
        source,
        noise_of(job, picture, job.enlarging.size),
        _watch(job, picture, tell, job.enlarging.model, job.enlarging.sampling, job.steps[0]),
        job.refiner,
    )
    return dataclasses.replace(drawing, latents=latents)


def first_pass(job: Job, picture: Picture, source: Source | None, tell: Progress) -> Run[Drawing]:
    """From noise, or from a picture."""
    wishes, noise = wishes_of(job, picture, picture.wording), noise_of(job, picture, drawing_size(job.request))
    watch = _watch(job, picture, tell, job.model, job.sampling, 0)
    refiner = None if job.enlarging else job.refiner
    if source is not None and job.model.spec.low_res is not None:
        level = job.request.noise_level
        return Drawing((yield from upscale(job.model, wishes, job.sampling, source, level, noise, watch)))
    if source is not None:
        return (yield from img2img(job.model, wishes, job.sampling, source, noise, watch, refiner))
    return Drawing((yield from txt2img(job.model, wishes, job.sampling, noise, watch, refiner)))


def wishes_of(job: Job, picture: Picture, wording: Wording) -> Wishes:
    """wording: of the pass; what a region is to show is put behind it."""
    settings = TextSettings(job.request.clip_skip, job.request.emphasis)
    regions = tuple(
        RegionWish(
            region,
            _joined(wording.prompt, parse_networks(region.prompt)[0]),
            _joined(wording.negative_prompt, region.negative_prompt),
        )
        for region in picture.regions
    )
    return Wishes(wording.prompt, wording.negative_prompt, settings, regions)


def _joined(*texts: str) -> str:
    return ", ".join(text for text in texts if text)


def started(job: Job) -> Started:
    """The event that opens a job."""
    return Started(len(job.pictures), sum(job.steps), tuple(job.sigmas))


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


def noise_of(job: Job, picture: Picture, size: Size) -> PictureNoise:
    """Every random number of a picture's pass of that size, decided by the request and the picture's seeds alone."""
    side = job.model.latent_factor
    shape = job.model.spec.vae.latent_channels, size[1] // side, size[0] // side
    patches = []
    for region in picture.regions:
        if region.seed >= 0:
            box = box_of(region, (shape[1], shape[2]))
            own = _noise(job, (shape[0], box.height, box.width), region.seed, region.seed, resized=False)
            patches.append((box, own.initial()))
    return _noise(job, shape, picture.seed, picture.subseed, resized=True).patched(patches)


def _noise(job: Job, shape: tuple[int, int, int], seed: int, subseed: int, *, resized: bool) -> PictureNoise:
    request, side = job.request, job.model.latent_factor
    resized = resized and request.seed_resize_from_w > 0 and request.seed_resize_from_h > 0
    return PictureNoise(
        shape,
        seed,
        source=request.noise_source,
        device=job.model.device,
        subseed=subseed,
        subseed_strength=request.subseed_strength,
        seed_resize=(request.seed_resize_from_h // side, request.seed_resize_from_w // side) if resized else None,
        ensd=request.ensd,
    )


def _watch(
    job: Job, picture: Picture, tell: Progress, model: StableDiffusion, sampling: Sampling, before: int
) -> Watch:
    """Turn U-Net calls into steps: a second-order sampler makes two calls a step, only the first is told.

    before: steps that were drawn by the first pass.  Raises EndedEarly where the callback has Enough.
    """
    steps = len(sampling.sigmas) - 1
    calls_a_step = sampling.calls // max(steps, 1)

    def watch(call: int, x: Tensor, sigma: float, denoised: Tensor) -> None:
        if call % calls_a_step:
            return
        step = before + min(call // calls_a_step + 1, steps)
        seen = lambda: as_image(model.decode(denoised))  # noqa: E731
        try:
            tell(Step(picture.index, len(job.pictures), step, sum(job.steps), sigma, x, denoised, seen))
        except Enough as enough:
            raise EndedEarly(model, denoised, step) from enough

    return watch
