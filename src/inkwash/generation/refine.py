"""The second pass of "hires fix": the finished first pass, enlarged, noised again from the same seeds and drawn on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from inkwash.core.request import GenerateRequest, HiresPass
from inkwash.core.resizing import Size, whole_eighths
from inkwash.diffusion import resolve
from inkwash.diffusion.noise import PictureNoise
from inkwash.diffusion.noise_schedule import NoiseSchedule
from inkwash.generation.latents import Source, as_tensor, cropped, enlarged
from inkwash.generation.pictures import as_image
from inkwash.generation.prepare import sampling_on, tail_of
from inkwash.generation.run import Decode, Encode, Enlarge, Run
from inkwash.generation.tasks import Refiner, Sampling, Watch, Wishes, draw_over
from inkwash.imaging.upscale import Upscaler
from inkwash.models.stable_diffusion import StableDiffusion


@dataclass(frozen=True, eq=False)
class Enlarging:
    """A settled hires pass.  cover: pixels the first pass is enlarged to; size: what is cut from its middle."""

    model: StableDiffusion
    sampling: Sampling
    cover: Size
    size: Size
    upscaler: str | Upscaler  # one of LATENT_UPSCALERS, or what enlarges the decoded picture
    strength: float


def enlarging_of(
    request: GenerateRequest, hires: HiresPass, model: StableDiffusion, first: Sampling, upscaler: Upscaler | None
) -> Enlarging:
    """request: settled.  model: the one that draws the second pass.  first: the first pass.  upscaler: of pictures."""
    own = dataclasses.replace(
        request,
        steps=hires.steps or request.steps,
        sampler=hires.sampler or request.sampler,
        schedule=hires.schedule or request.schedule,
        denoising_strength=hires.denoising_strength,
        exact_steps=True,
        sigmas=None,
    )
    cover, size = sizes(request, hires)
    sampling = second_sampling(own, first, model.noise_schedule)
    return Enlarging(model, sampling, cover, size, upscaler or hires.upscaler, hires.denoising_strength)


def second_sampling(own: GenerateRequest, first: Sampling, noise_schedule: NoiseSchedule) -> Sampling:
    """Exactly own.steps steps at the tail of a schedule of int(steps / strength); prompts know of both passes."""
    sampler, _ = resolve(own.sampler)
    whole, sigmas = tail_of(own, sampler, noise_schedule)
    sampling = sampling_on(own, sampler, sigmas, whole)
    edits = first.edits or first.calls
    return dataclasses.replace(sampling, edits=edits, hires_edits=sampler.calls(own.steps), inversion=None)


def sizes(request: GenerateRequest, hires: HiresPass) -> tuple[Size, Size]:
    """(cover, size) in pixels, multiples of 8, as A1111 rounds them."""
    assert request.width is not None  # settled, as is the height
    assert request.height is not None
    width, height = request.width, request.height
    if not hires.width and not hires.height:
        size = whole_eighths((int(width * hires.scale), int(height * hires.scale)))
        return size, size
    if not hires.width or not hires.height:
        size = whole_eighths(
            (hires.width or hires.height * width // height, hires.height or hires.width * height // width)
        )
        return size, size
    wide = width * hires.height < hires.width * height  # the target is wider than the first pass
    cover = (hires.width, hires.width * height // width) if wide else (hires.height * width // height, hires.height)
    return whole_eighths(cover), (hires.width, hires.height)


def enlarge(model: StableDiffusion, latents: Tensor, plan: Enlarging) -> Run[Tensor]:
    """The first pass at the second one's size: its latents resized, or its picture decoded, resized and encoded."""
    side = model.latent_factor
    size = plan.size[1] // side, plan.size[0] // side
    if isinstance(plan.upscaler, str):
        return cropped(enlarged(latents, (plan.cover[1] // side, plan.cover[0] // side), plan.upscaler), size)
    picture = as_image((yield Decode(model, latents)))
    large: Image.Image = yield Enlarge(plan.upscaler, picture, plan.cover)
    again: Tensor = yield Encode(plan.model, cropped(as_tensor(large), (plan.size[1], plan.size[0])))
    return again


def second_pass(
    plan: Enlarging,
    original: Tensor,
    wishes: Wishes,
    source: Source | None,
    noise: PictureNoise,
    watch: Watch,
    refiner: Refiner | None,
) -> Run[Tensor]:
    """original: what ``enlarge`` gave.  noise: of its size, from the seeds of the first pass."""
    source = None if source is None else dataclasses.replace(source, noise_multiplier=1.0)
    return (
        yield from draw_over(original, plan.model, wishes, plan.sampling, source, plan.strength, noise, watch, refiner)
    )
