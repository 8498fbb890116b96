"""A request as typed -> a request in which everything is decided, or an error in words."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping

import torch

from inkwash.core.limits import Limits, check
from inkwash.core.request import GenerateRequest
from inkwash.diffusion import Sampler, resolve, resolve_schedule
from inkwash.diffusion.guidance import Guidance
from inkwash.diffusion.noise_schedule import NoiseSchedule
from inkwash.generation.tasks import Sampling


def settle(request: GenerateRequest, native_size: int, limits: Limits | None = None) -> GenerateRequest:
    """Replace every None and -1 by what will be used, so that the result says how to draw it again.

    Raises InvalidRequest naming the first field that cannot be drawn.
    """
    sampler, schedule = resolve(request.sampler)
    settled = dataclasses.replace(
        request,
        width=request.width or native_size,
        height=request.height or native_size,
        seed=_drawn(request.seed),
        subseed=_drawn(request.subseed) if request.subseed_strength > 0 else request.subseed,
        sampler=sampler.name,
        schedule=schedule.name if schedule and request.schedule == "Automatic" else request.schedule,
        steps=len(request.sigmas) - 1 if request.sigmas else request.steps,
    )
    return check(settled, limits)


def _drawn(seed: int) -> int:
    """A1111's rule: any negative seed means a random one below 2^32."""
    return random.SystemRandom().randrange(2**32) if seed < 0 else seed


def sampling_of(request: GenerateRequest, noise_schedule: NoiseSchedule) -> Sampling:
    """request: settled.  The sampler with its sigmas, options and guidance."""
    sampler, _ = resolve(request.sampler)
    sigmas = sigmas_of(request, sampler, noise_schedule)
    steps = len(sigmas) - 1
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
        calls=sampler.calls(steps),
    )


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
