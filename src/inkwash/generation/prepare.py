"""A request as typed -> a request in which everything is decided, or an error in words."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping

import torch

from inkwash.core.errors import InvalidRequest
from inkwash.core.limits import MULTIPLE, Limits, check
from inkwash.core.request import GenerateRequest, TiledDiffusion
from inkwash.core.resizing import scaled, whole_eighths
from inkwash.diffusion import Sampler, resolve, resolve_schedule
from inkwash.diffusion.guidance import Guidance
from inkwash.diffusion.noise_schedule import NoiseSchedule
from inkwash.generation.tasks import Sampling


def settle(
    request: GenerateRequest, native_size: int, limits: Limits | None = None, enlarges: int = 1
) -> GenerateRequest:
    """Replace every None and -1 by what will be used, so that the result says how to draw it again.

    enlarges: how many times a picture's side grows by a model made for that, which always begins with noise alone.

    Raises InvalidRequest naming the first field that cannot be drawn.
    """
    sampler, schedule = resolve(request.sampler)
    width, height = _size(request, native_size, enlarges)
    strength = STRENGTH if request.denoising_strength is None else request.denoising_strength
    settled = dataclasses.replace(
        request,
        width=width,
        height=height,
        seed=_drawn(request.seed),
        subseed=_drawn(request.subseed) if request.subseed_strength > 0 else request.subseed,
        sampler=sampler.name,
        schedule=schedule.name if schedule and request.schedule == "Automatic" else request.schedule,
        steps=len(request.sigmas) - 1 if request.sigmas else request.steps,
        denoising_strength=1.0 if enlarges > 1 else strength,
        keep_structure=_structure(request),
        tiled=request.tiled and _tiled(request.tiled, native_size),
    )
    return check(settled, limits)


STRENGTH = 0.75
"""A1111's denoising strength, where a request leaves it open."""

KEPT = 0.75
"""How much of the structure SD upscale keeps, where a request leaves it open; everything else keeps none."""


def _structure(request: GenerateRequest) -> float:
    if request.keep_structure is None:
        return KEPT if request.sd_upscale else 0.0
    return request.keep_structure


def _tiled(tiled: TiledDiffusion, native_size: int) -> TiledDiffusion:
    """Tiles of the size the model was made for, where they have none."""
    own = native_size // MULTIPLE
    return dataclasses.replace(tiled, tile_width=tiled.tile_width or own, tile_height=tiled.tile_height or own)


def _size(request: GenerateRequest, native_size: int, enlarges: int) -> tuple[int, int]:
    """Pixels of the first pass: as asked, else the picture's own (enlarged, if it is to be), else the model's."""
    width, height, image = request.width, request.height, request.init_image
    own_size = request.only_masked or request.sd_upscale is not None
    if image is None or own_size or not hasattr(image, "getbands"):  # limits will say what is wrong with it
        return width or native_size, height or native_size
    own = image.width * enlarges, image.height * enlarges
    if width is None and height is None:
        enlarging = request.tiled is not None and request.tiled.upscaler is not None
        return scaled(own, request.tiled.scale) if enlarging and request.tiled else whole_eighths(own)
    wide, high = whole_eighths((round((height or 0) * own[0] / own[1]), round((width or 0) * own[1] / own[0])))
    return width or wide, height or high


def _drawn(seed: int) -> int:
    """A1111's rule: any negative seed means a random one below 2^32."""
    return random.SystemRandom().randrange(2**32) if seed < 0 else seed


def sampling_of(request: GenerateRequest, noise_schedule: NoiseSchedule) -> Sampling:
    """request: settled.  The sampler with its sigmas, options and guidance; of a picture, the tail of the schedule."""
    sampler, _ = resolve(request.sampler)
    if request.init_image is None or request.sigmas is not None:
        sigmas = whole = sigmas_of(request, sampler, noise_schedule)
        if request.init_image is not None and request.denoising_strength == 0:
            sigmas = sigmas[-1:]
    else:
        whole, sigmas = tail_of(request, sampler, noise_schedule)
    return sampling_on(request, sampler, sigmas, whole)


def sampling_on(request: GenerateRequest, sampler: Sampler, sigmas: torch.Tensor, whole: torch.Tensor) -> Sampling:
    """whole: the schedule that ``sigmas`` is the tail of."""
    return Sampling(
        sampler=sampler,
        sigmas=sigmas,
        options=options_of(request, sampler),
        guidance=Guidance(
            scale=request.cfg_scale * sampler.cfg_factor,
            rescale=request.cfg_rescale,
            start=request.guidance_start,
            end=request.guidance_end,
            ngms=request.ngms,
            ngms_all=request.ngms_all_steps,
            skip_early=request.skip_early_cfg,
        ),
        calls=sampler.calls(len(sigmas) - 1),
        edits=sampler.calls(request.steps if request.init_image is not None else len(sigmas) - 1),
        whole=whole,
        tiled=request.tiled,
        inversion=request.noise_inversion,
        keep_structure=request.keep_structure or 0.0,
    )


MOST_LEVELS = 100_000
"""Noise levels of a schedule of which only the tail is drawn."""


def tail_of(
    request: GenerateRequest, sampler: Sampler, noise_schedule: NoiseSchedule
) -> tuple[torch.Tensor, torch.Tensor]:
    """The whole schedule, and the part of it that ``denoising_strength`` leaves to draw, as A1111 counts.

    int(strength * steps) + 1 steps; with ``exact_steps`` exactly ``steps``, of a longer schedule.  Strength 0: none,
    a single sigma; 1: all.
    """
    strength, wanted = request.denoising_strength or 0.0, request.steps
    capped = min(strength, 0.999)
    steps = int(wanted / capped) if request.exact_steps and 0 < strength < 1 else wanted
    if steps > MOST_LEVELS:
        raise InvalidRequest(
            f"{wanted} steps at a denoising strength of {strength} are the tail of a schedule of {steps}.",
            "Take a higher strength, 0 to change nothing, or leave exact steps off.",
        )
    whole = sigmas_of(dataclasses.replace(request, steps=steps), sampler, noise_schedule)
    if strength == 1:
        return whole, whole
    drawn = (wanted if request.exact_steps else int(capped * steps) + 1) if strength else 0
    return whole, whole[max(0, len(whole) - 1 - drawn) :]


def options_of(request: GenerateRequest, sampler: Sampler) -> Mapping[str, float]:
    """Those of the request's knobs that this sampler has."""
    knobs = {name: getattr(request, name) for name in ("s_churn", "s_tmin", "s_tmax", "s_noise")}
    knobs["eta"] = sampler.default_eta if request.eta is None else request.eta
    return {name: value for name, value in knobs.items() if name in sampler.options and value is not None}


def sigmas_of(request: GenerateRequest, sampler: Sampler, noise_schedule: NoiseSchedule) -> torch.Tensor:
    """The noise levels of the pass: explicit ones, the sampler's own timesteps, or a schedule's."""
    if request.sigmas is not None:
        return torch.tensor(request.sigmas, dtype=torch.float32)
    automatic = request.schedule == "Automatic"
    if automatic and sampler.own_sigmas is not None:
        return sampler.own_sigmas(request.steps, noise_schedule)
    schedule = resolve_schedule(sampler.schedule if automatic else request.schedule)
    drop = sampler.drop_penultimate if request.discard_penultimate_sigma is None else request.discard_penultimate_sigma
    low = noise_schedule.sigma_min if request.sigma_min is None else request.sigma_min
    high = noise_schedule.sigma_max if request.sigma_max is None else request.sigma_max
    sigmas = schedule(request.steps + drop, low, high, noise_schedule=noise_schedule, rho=request.rho)
    return torch.cat([sigmas[:-2], sigmas[-1:]]) if drop else sigmas
