"""A request and a model -> one run a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inkwash import __version__
from inkwash.core import infotext
from inkwash.core.errors import InkwashError
from inkwash.core.progress import Decoding, Drawn, Progress, Started, Step
from inkwash.core.request import GenerateRequest
from inkwash.diffusion.noise import PictureNoise
from inkwash.generation.cautions import cautions
from inkwash.generation.conditioning import TextSettings
from inkwash.generation.loop import MAX_ROWS
from inkwash.generation.prepare import sampling_of, settle
from inkwash.generation.run import Decode, Run
from inkwash.generation.tasks import Sampling, Watch, txt2img
from inkwash.generation.wording import Library, Wording, word
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.prompt import advise, load_tokenizer
from inkwash.runtime.memory import working_memory

ADVISED = 10_000
"""Characters of a prompt that advice is given on; reading more closely what no person typed would cost a second."""


@dataclass(frozen=True)
class Picture:
    """One picture of a job: what differs from its neighbours."""

    index: int
    seed: int
    subseed: int
    wording: Wording


@dataclass(frozen=True, eq=False)
class Job:
    """A settled request on a loaded model."""

    model: StableDiffusion
    request: GenerateRequest
    sampling: Sampling
    pictures: tuple[Picture, ...]

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


def plan(request: GenerateRequest, model: StableDiffusion, library: Library) -> Job:
    """Decide everything before anything is drawn.  Raises InvalidRequest."""
    settled = settle(request, model.spec.native_size)
    varied = settled.subseed_strength > 0  # then the seed stands still and the subseed counts
    pictures = tuple(
        Picture(
            index,
            seed=settled.seed + (0 if varied else index),
            subseed=settled.subseed + (index if varied else 0),
            wording=word(settled, settled.seed + index, library),
        )
        for index in range(settled.batch_size * settled.batch_count)
    )
    return Job(model, settled, sampling_of(settled, model.noise_schedule), pictures)


@dataclass(frozen=True)
class Origin:
    """Names and short hashes of the files a job draws with, as A1111 writes them; None: the model file's own VAE."""

    model_name: str
    model_hash: str | None = None
    vae_name: str | None = None
    vae_hash: str | None = None


def infotext_of(job: Job, picture: Picture, origin: Origin) -> str:
    """The text that draws this one picture again."""
    wording = picture.wording
    alone = dataclasses.replace(
        job.request, prompt=wording.full_prompt, negative_prompt=wording.full_negative_prompt, styles=()
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
    images, request = len(job.pictures), job.request
    latents = yield from txt2img(
        job.model,
        picture.wording.prompt,
        picture.wording.negative_prompt,
        TextSettings(request.clip_skip, request.emphasis),
        job.sampling,
        noise_of(job, picture),
        _watch(job, picture, tell),
    )
    if not bool(torch.isfinite(latents).all()):
        raise InkwashError(
            f"Picture {picture.index + 1} turned into numbers that are not finite (NaN) and cannot be shown.",
            "Use float32 (--dtype float32), a lower CFG scale or another sampler; if it stays, the file is damaged.",
        )
    tell(Decoding(picture.index, images))
    image = as_image((yield Decode(job.model, latents)))
    tell(Drawn(picture.index, images, image, text, picture.seed))
    return Finish(latents.cpu(), image, text)


def started(job: Job) -> Started:
    """The event that opens a job."""
    return Started(len(job.pictures), len(job.sampling.sigmas) - 1, tuple(job.sampling.sigmas.tolist()))


def memory_of(job: Job, strict: bool) -> int:
    """Bytes that drawing takes beside the weights, by estimate: in fast mode the pictures of a batch share a call."""
    request, model = job.request, job.model
    assert request.width is not None  # settled, as is the height
    assert request.height is not None
    widths = model.spec.unet.channels[0], model.spec.vae.channels[0]
    rows = 2 if strict else min(2 * request.batch_size, MAX_ROWS)  # with and without the prompt
    return working_memory(request.width, request.height, rows, model.dtype, *widths)


def noise_of(job: Job, picture: Picture) -> PictureNoise:
    """Every random number of a picture, decided by the request and the picture's seeds alone."""
    request, side = job.request, job.model.latent_factor
    assert request.width is not None  # settled, as is the height
    assert request.height is not None
    resized = request.seed_resize_from_w > 0 and request.seed_resize_from_h > 0
    return PictureNoise(
        (job.model.spec.vae.latent_channels, request.height // side, request.width // side),
        picture.seed,
        source=request.noise_source,
        device=job.model.device,
        subseed=picture.subseed,
        subseed_strength=request.subseed_strength,
        seed_resize=(request.seed_resize_from_h // side, request.seed_resize_from_w // side) if resized else None,
        ensd=request.ensd,
    )


def as_image(picture: Tensor) -> Image.Image:
    """(3, H, W) in 0..1 -> an 8-bit picture, rounded to the nearest level."""
    pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels.numpy()))


def _watch(job: Job, picture: Picture, tell: Progress) -> Watch:
    """Turn U-Net calls into steps: a second-order sampler makes two calls a step, only the first is told."""
    steps = len(job.sampling.sigmas) - 1
    calls_a_step = job.sampling.calls // steps

    def watch(call: int, x: Tensor, sigma: float, denoised: Tensor) -> None:
        if call % calls_a_step:
            return
        step = min(call // calls_a_step + 1, steps)
        tell(
            Step(
                picture.index,
                len(job.pictures),
                step,
                steps,
                sigma,
                x,
                denoised,
                lambda: as_image(job.model.decode(denoised)),
            )
        )

    return watch
