"""A request and a model -> one run a picture."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from inkwash import __version__
from inkwash.core import infotext
from inkwash.core.errors import InkwashError, InvalidRequest
from inkwash.core.progress import Decoding, Drawn, Progress, Started, Step
from inkwash.core.request import GenerateRequest, HiresPass
from inkwash.core.resizing import Size
from inkwash.diffusion.noise import PictureNoise
from inkwash.generation.canvas import Canvas, canvas_of, drawing_size
from inkwash.generation.cautions import cautions
from inkwash.generation.conditioning import TextSettings
from inkwash.generation.latents import DEPTH_CHANNELS, Source, source_of
from inkwash.generation.pictures import as_image
from inkwash.generation.prepare import sampling_of, settle
from inkwash.generation.refine import Enlarging, enlarge, enlarging_of, second_pass
from inkwash.generation.run import Decode, Run
from inkwash.generation.tasks import Drawing, Refiner, Sampling, Watch, Wishes, img2img, txt2img
from inkwash.generation.wording import Library, Wording, word
from inkwash.imaging.upscale import Upscaler
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.tiled_vae import TILES
from inkwash.prompt import advise, load_tokenizer
from inkwash.runtime.memory import autoencoder_memory, banded_memory, unet_memory

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

    @property
    def last_model(self) -> StableDiffusion:
        """The one whose latents are decoded."""
        return self.enlarging.model if self.enlarging else self.model

    @property
    def size(self) -> Size:
        """Pixels of what is decoded in the end."""
        return self.enlarging.size if self.enlarging else drawing_size(self.request)

    @property
    def sigmas(self) -> list[float]:
        """Of every pass, one after another."""
        later = self.enlarging.sampling.sigmas.tolist() if self.enlarging else []
        return [*self.sampling.sigmas.tolist(), *later]

    @property
    def steps(self) -> tuple[int, int]:
        """Of the first pass, and of the hires pass."""
        return len(self.sampling.sigmas) - 1, len(self.enlarging.sampling.sigmas) - 1 if self.enlarging else 0

    def batches(self) -> Iterator[tuple[Picture, ...]]:
        """Pictures that are drawn side by side, in order."""
        size = self.request.batch_size
        for first in range(0, len(self.pictures), size):
            yield self.pictures[first : first + size]


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
) -> Job:
    """Decide everything before anything is drawn.  others: hires and refiner models, by name.

    upscaler: of pictures, where the hires pass names one.

    Raises InvalidRequest.
    """
    settled = settle(request, model.spec.native_size)
    varied = settled.subseed_strength > 0  # then the seed stands still and the subseed counts
    pictures = tuple(
        Picture(
            index,
            seed=settled.seed + (0 if varied else index),
            subseed=settled.subseed + (index if varied else 0),
            wording=word(settled, settled.seed + index, library),
            hires_wording=_hires_wording(settled, settled.seed + index, library),
        )
        for index in range(settled.batch_size * settled.batch_count)
    )
    others = others or {}
    sampling, hires = sampling_of(settled, model.noise_schedule), settled.hires
    later = others.get(hires.model or "", model) if hires else model
    enlarging = enlarging_of(settled, hires, later, sampling, upscaler) if hires else None
    last = enlarging.sampling if enlarging else sampling
    _check_depth(settled, [model, later, *others.values()])
    return Job(
        model,
        settled,
        sampling,
        pictures,
        canvas=canvas_of(settled),
        enlarging=enlarging,
        refiner=_refiner(settled, others, last),
    )


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


def _check_depth(request: GenerateRequest, models: Sequence[StableDiffusion]) -> None:
    needed = any(model.spec.unet.in_channels == DEPTH_CHANNELS for model in models)
    if needed and (request.init_image is None or request.depth is None):
        raise InvalidRequest(
            "This model draws over a depth map, and the request has none.",
            "Give a picture and its depth map (grey, near is bright), or choose another model.",
        )


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
        hires=_hires_told(job.request.hires, picture.hires_wording, origin),
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


def _hires_told(hires: HiresPass | None, wording: Wording | None, origin: Origin) -> HiresPass | None:
    if hires is None:
        return None
    prompt, negative = (wording.full_prompt, wording.full_negative_prompt) if wording else ("", "")
    return dataclasses.replace(hires, model=origin.hires_name or hires.model, prompt=prompt, negative_prompt=negative)


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
    """The whole of one picture, from its prompt to its pixels.  text: its infotext."""
    images, canvas = len(job.pictures), job.canvas
    source = source_of(canvas, job.request) if canvas else None
    drawing = yield from first_pass(job, picture, source, tell)
    latents = drawing.latents
    if job.enlarging is not None:
        original = yield from enlarge(job.model, latents, job.enlarging)
        latents = yield from second_pass(
            job.enlarging,
            original,
            wishes_of(job, picture.hires_wording or picture.wording),
            source,
            noise_of(job, picture, job.enlarging.size),
            _watch(job, picture, tell, job.enlarging.model, job.enlarging.sampling, job.steps[0]),
            job.refiner,
        )
    if not bool(torch.isfinite(latents).all()):
        raise InkwashError(
            f"Picture {picture.index + 1} turned into numbers that are not finite (NaN) and cannot be shown.",
            "Use float32 (--dtype float32), a lower CFG scale or another sampler; if it stays, the file is damaged.",
        )
    tell(Decoding(picture.index, images))
    image = as_image((yield Decode(job.last_model, latents)))
    if canvas is not None:
        image = canvas.finish(image, None if drawing.moved is None else as_image(drawing.moved.cpu()))
    tell(Drawn(picture.index, images, image, text, picture.seed))
    return Finish(latents.cpu(), image, text)


def first_pass(job: Job, picture: Picture, source: Source | None, tell: Progress) -> Run[Drawing]:
    """From noise, or from a picture."""
    wishes, noise = wishes_of(job, picture.wording), noise_of(job, picture, drawing_size(job.request))
    watch = _watch(job, picture, tell, job.model, job.sampling, 0)
    refiner = None if job.enlarging else job.refiner
    if source is not None:
        return (yield from img2img(job.model, wishes, job.sampling, source, noise, watch, refiner))
    prompts = wishes.prompt, wishes.negative_prompt, wishes.text
    return Drawing((yield from txt2img(job.model, *prompts, job.sampling, noise, watch, refiner)))


def wishes_of(job: Job, wording: Wording) -> Wishes:
    settings = TextSettings(job.request.clip_skip, job.request.emphasis)
    return Wishes(wording.prompt, wording.negative_prompt, settings)


def started(job: Job) -> Started:
    """The event that opens a job."""
    return Started(len(job.pictures), sum(job.steps), tuple(job.sigmas))


def memory_of(job: Job) -> int:
    """Bytes that drawing takes beside the weights at the least, by estimate: one row a call, the smallest tiles."""
    model, pixels = job.last_model, job.size[0] * job.size[1]
    unet = unet_memory(pixels, 1, model.dtype, model.spec.unet.channels[0])
    width, dtype = model.spec.vae.channels[0], model.vae_dtype
    tiles = banded_memory(model.latent_factor * TILES[-1], dtype, width)
    return max(unet, min(autoencoder_memory(pixels, dtype, width), tiles))


def noise_of(job: Job, picture: Picture, size: Size) -> PictureNoise:
    """Every random number of a picture's pass of that size, decided by the request and the picture's seeds alone."""
    request, side = job.request, job.model.latent_factor
    resized = request.seed_resize_from_w > 0 and request.seed_resize_from_h > 0
    return PictureNoise(
        (job.model.spec.vae.latent_channels, size[1] // side, size[0] // side),
        picture.seed,
        source=request.noise_source,
        device=job.model.device,
        subseed=picture.subseed,
        subseed_strength=request.subseed_strength,
        seed_resize=(request.seed_resize_from_h // side, request.seed_resize_from_w // side) if resized else None,
        ensd=request.ensd,
    )


def _watch(
    job: Job, picture: Picture, tell: Progress, model: StableDiffusion, sampling: Sampling, before: int
) -> Watch:
    """Turn U-Net calls into steps: a second-order sampler makes two calls a step, only the first is told.

    before: steps that were drawn by the first pass.
    """
    steps = len(sampling.sigmas) - 1
    calls_a_step = sampling.calls // max(steps, 1)

    def watch(call: int, x: Tensor, sigma: float, denoised: Tensor) -> None:
        if call % calls_a_step:
            return
        step = before + min(call // calls_a_step + 1, steps)
        tell(
            Step(
                picture.index,
                len(job.pictures),
                step,
                sum(job.steps),
                sigma,
                x,
                denoised,
                lambda: as_image(model.decode(denoised)),
            )
        )

    return watch
