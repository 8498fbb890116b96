"""The tasks, in the words of the papers.  Each is a ``Run`` (see run.py) that draws one picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from inkwash.diffusion import Prediction, Sampler
from inkwash.diffusion.guidance import Guidance
from inkwash.diffusion.noise import Noise, PictureNoise
from inkwash.generation.conditioning import Conditioning, TextSettings, encode_prompt, row
from inkwash.generation.run import Denoise, Encode, Run
from inkwash.models.stable_diffusion import StableDiffusion

Watch = Callable[[int, Tensor, float, Tensor], None]
"""Told after every U-Net call of a picture: 0-based call, x (4, h, w), sigma, guided denoised (4, h, w)."""


@dataclass(frozen=True, eq=False)
class Sampling:
    """Everything that decides how one picture is sampled, beside its text and its noise."""

    sampler: Sampler
    sigmas: Tensor  # (n + 1,) descending
    options: Mapping[str, float]  # the sampler's keyword options
    guidance: Guidance
    calls: int  # what prompt editing and guidance intervals count: steps, or twice that for second-order samplers


@dataclass(frozen=True, eq=False)
class Texts:
    """The prompt and the negative prompt, encoded."""

    cond: Conditioning
    uncond: Conditioning


def txt2img(
    model: StableDiffusion,
    prompt: str,
    negative_prompt: str,
    text: TextSettings,
    sampling: Sampling,
    noise: PictureNoise,
    watch: Watch,
) -> Run[Tensor]:
    """Noise -> latents (4, h, w) float32 in the U-Net's space."""
    cond = yield from encode_prompt(model, prompt, sampling.calls, text, compose=True)
    uncond = yield from encode_prompt(model, negative_prompt, sampling.calls, text, compose=False)
    unit = noise.initial()
    concat = (yield from nothing_masked(model, unit)) if model.spec.unet.in_channels == 9 else None
    x = start(unit, sampling)
    x = yield from sample(model, x, Texts(cond, uncond), concat, sampling, noise, watch)
    return finish(x, sampling)


def start(unit: Tensor, sampling: Sampling) -> Tensor:
    """The first x of pure noise.  Samplers of the variance-preserving family begin at N(0, 1) in *their* space."""
    sigma = float(sampling.sigmas[0])
    return unit * (math.sqrt(1 + sigma**2) if sampling.sampler.vp else sigma)


def finish(x: Tensor, sampling: Sampling) -> Tensor:
    """The last x as latents.  DDIM and its kin stop at alpha_0 < 1 and return their own, variance-preserving, x."""
    sigma = float(sampling.sigmas[-1])
    return x / math.sqrt(1 + sigma**2) if sampling.sampler.vp else x


def sample(
    model: StableDiffusion,
    x: Tensor,
    texts: Texts,
    concat: Tensor | None,
    sampling: Sampling,
    noise: PictureNoise,
    watch: Watch,
) -> Run[Tensor]:
    """Drive a sampler from sigmas[0] to sigmas[-1]: it names x and sigma and is sent what the model sees there."""
    solver = sampling.sampler(x, sampling.sigmas, increments(noise, sampling), **sampling.options)
    x, sigma = next(solver)
    for call in count():
        prediction = yield from predict(model, x, float(sigma), texts, concat, sampling, call)
        watch(call, x, float(sigma), prediction.denoised)
        try:
            x, sigma = solver.send(prediction)
        except StopIteration as finished:
            result: Tensor = finished.value
            return result
    raise AssertionError("a sampler never ends without returning")


def predict(
    model: StableDiffusion, x: Tensor, sigma: float, texts: Texts, concat: Tensor | None, sampling: Sampling, call: int
) -> Run[Prediction]:
    """What the model sees in x at sigma, guided by the texts: one row a text that counts, combined."""
    guidance, calls = sampling.guidance, sampling.calls
    scale = guidance.at(sigma, call, calls)
    parts = texts.cond.at(call) if scale else []
    weights = [weight for _, weight in parts]
    if guidance.needs_uncond(sigma, call, calls, weights) or sampling.sampler.needs_uncond:
        parts = parts + texts.uncond.at(call)
    answers: list[Tensor] = yield Denoise(model, tuple(row(model, x, sigma, text, concat) for text, _ in parts))
    return guidance.combine(
        list(zip(answers, weights, strict=False)),
        answers[-1] if len(answers) > len(weights) else None,
        scale=scale,
        prediction=model.spec.prediction,
        x=x,
        sigma=sigma,
    )


def increments(noise: PictureNoise, sampling: Sampling) -> Noise:
    """The noise this sampler asks for: fresh draws, or a Brownian path over the whole schedule."""
    if sampling.sampler.noise != "brownian":
        return noise.ancestral
    positive = sampling.sigmas[sampling.sigmas > 0]
    return noise.brownian(float(positive.min()), float(positive.max()))


def nothing_masked(model: StableDiffusion, like: Tensor) -> Run[Tensor]:
    """What an inpainting model sees when there is no picture: everything masked, over mid-grey.  (5, h, w)"""
    side = model.latent_factor
    grey = torch.full((3, like.shape[1] * side, like.shape[2] * side), 0.5, device=like.device)
    latents = yield Encode(model, grey)
    return torch.cat([torch.ones_like(latents[:1]), latents])
