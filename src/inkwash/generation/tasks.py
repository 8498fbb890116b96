"""The tasks, in the words of the papers.  Each is a ``Run`` (see run.py) that draws one picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count

from torch import Tensor

from inkwash.core.boxes import Box
from inkwash.core.request import NoiseInversion, Region, SoftInpainting, TiledDiffusion
from inkwash.diffusion import Prediction, Sampler
from inkwash.diffusion.guidance import Guidance
from inkwash.diffusion.noise import Noise, PictureNoise
from inkwash.generation.conditioning import Conditioning, TextSettings, encode_prompt
from inkwash.generation.inversion import inverted, renoised
from inkwash.generation.latents import (
    MASKED_CHANNELS,
    Source,
    beside_of,
    encoded,
    mixed,
    mixed_softly,
    moved,
    noised,
    redrawn,
)
from inkwash.generation.regions import Layer, box_of, layered
from inkwash.generation.run import Ask, Beside, Run, See
from inkwash.generation.structure import guarded
from inkwash.generation.tiled import seeing
from inkwash.models.stable_diffusion import StableDiffusion

Watch = Callable[[int, Tensor, float, Tensor], None]
"""Told after every U-Net call of a picture: 0-based call, x (4, h, w), sigma, guided denoised (4, h, w)."""


@dataclass(frozen=True, eq=False)
class Sampling:
    """Everything that decides how one picture is sampled, beside its text and its noise."""

    sampler: Sampler
    sigmas: Tensor  # (n + 1,) descending; a single one if nothing is to be drawn
    options: Mapping[str, float]  # the sampler's keyword options
    guidance: Guidance
    calls: int  # what guidance intervals count: steps, or twice that for second-order samplers
    edits: int = 0  # what prompt editing counts, in A1111 those of the whole schedule; 0: ``calls``
    hires_edits: int | None = None  # of a hires pass: its calls; ``edits`` are the first pass's
    whole: Tensor | None = None  # the schedule ``sigmas`` is the tail of
    tiled: TiledDiffusion | None = None
    inversion: NoiseInversion | None = None  # of what is drawn over
    keep_structure: float = 0.0  # of what is drawn over, 0..1


@dataclass(frozen=True)
class RegionWish:
    """What is to be drawn in a region, in words, the request's own among them."""

    region: Region
    prompt: str
    negative_prompt: str


@dataclass(frozen=True)
class Wishes:
    """What is to be drawn, in words."""

    prompt: str
    negative_prompt: str
    text: TextSettings
    regions: tuple[RegionWish, ...] = ()


@dataclass(frozen=True, eq=False)
class Drawing:
    """latents: (4, h, w).  moved: (h, w) in 0..1, where soft inpainting made another picture of it."""

    latents: Tensor
    moved: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Refiner:
    """A model that takes over from call number ``call``."""

    model: StableDiffusion
    call: int


@dataclass(frozen=True, eq=False)
class Texts:
    """The prompt and the negative prompt, encoded."""

    cond: Conditioning
    uncond: Conditioning


def txt2img(
    model: StableDiffusion,
    wishes: Wishes,
    sampling: Sampling,
    noise: PictureNoise,
    watch: Watch,
    refiner: Refiner | None = None,
) -> Run[Tensor]:
    """Noise -> latents (4, h, w) float32 in the U-Net's space."""
    unit = noise.initial()
    ask = yield from asking(model, wishes, sampling, None, unit, refiner)
    x = yield from drive(start(unit, sampling), sampling, noise, watch, ask)
    return finish(x, sampling)


def img2img(
    model: StableDiffusion,
    wishes: Wishes,
    sampling: Sampling,
    source: Source,
    noise: PictureNoise,
    watch: Watch,
    refiner: Refiner | None = None,
) -> Run[Drawing]:
    """A picture, noised to sigmas[0] -> latents (4, h, w); with a mask, inpainting; with a depth model, depth2img.

    Strength 1 begins with noise alone, exactly as ``txt2img`` does; strength 0 returns the picture's own latents.
    """
    original = yield from encoded(model, source, noise.initial())
    latents = yield from draw_over(original, model, wishes, sampling, source, source.strength, noise, watch, refiner)
    return Drawing(latents, moved(original, latents, redrawn(source, latents), source.soft))


def upscale(
    model: StableDiffusion,
    wishes: Wishes,
    sampling: Sampling,
    source: Source,
    noise_level: int,
    noise: PictureNoise,
    watch: Watch,
) -> Run[Tensor]:
    """The x4 upscaler: noise -> latents (4, h, w), beside a small picture that is seen, noised, at every step.

    source: its picture is the small one, a pixel a latent.  noise_level: how far it is noised, and what the model is
    told; noise conditioning augmentation, arXiv:2106.15282.
    """
    seen = noised(model, source.picture, noise_level, noise)
    unit = noise.initial()
    ask = yield from reading(model, wishes, sampling, Beside(seen, noise_level), unit)
    x = yield from drive(start(unit, sampling), sampling, noise, watch, ask)
    return finish(x, sampling)


def draw_over(
    original: Tensor,
    model: StableDiffusion,
    wishes: Wishes,
    sampling: Sampling,
    source: Source | None,
    strength: float,
    noise: PictureNoise,
    watch: Watch,
    refiner: Refiner | None,
) -> Run[Tensor]:
    """``original`` latents, noised and drawn anew.  source: for masks and what the U-Net sees beside x."""
    if len(sampling.sigmas) < 2:
        return original
    unit = noise.initial() * (source.noise_multiplier if source else 1.0)
    ask = yield from asking(model, wishes, sampling, source, unit, refiner)
    anew = strength == 1
    if source is not None and sampling.inversion is not None:
        anew, unit = False, (yield from led_back(original, unit, model, wishes, sampling, source, sampling.inversion))
    x = start(unit, sampling) if anew else original + unit * float(sampling.sigmas[0])
    if sampling.keep_structure:
        ask = guarded(ask, original, sampling.keep_structure, float(sampling.sigmas[0]))
    redraw = redrawn(source, unit) if source is not None and model.spec.unet.in_channels != MASKED_CHANNELS else None
    if source is None or redraw is None:
        return finish((yield from drive(x, sampling, noise, watch, ask)), sampling)
    ask = behind(ask, original, redraw, source.soft)
    latents = finish((yield from drive(x, sampling, noise, watch, ask)), sampling)
    return latents if source.soft else mixed(original, latents, redraw)


def led_back(
    original: Tensor,
    fresh: Tensor,
    model: StableDiffusion,
    wishes: Wishes,
    sampling: Sampling,
    source: Source,
    wanted: NoiseInversion,
) -> Run[Tensor]:
    """The noise that leads back to ``original``, with fresh one where there are details."""
    unguided = replace(sampling, guidance=Guidance(scale=1.0))
    ask = yield from asking(model, wishes, unguided, source, fresh, None)
    inverse = yield from inverted(ask, original, float(sampling.sigmas[0]), wanted, model.noise_schedule)
    return renoised(inverse, fresh, source.picture, wanted)


def asking(
    model: StableDiffusion,
    wishes: Wishes,
    sampling: Sampling,
    source: Source | None,
    like: Tensor,
    refiner: Refiner | None,
) -> Run[Ask]:
    """Everything this model must know before the first step; the same of the refiner, which takes over later."""
    beside = yield from beside_of(model, source, like)
    ask = yield from reading(model, wishes, sampling, beside, like)
    if refiner is None:
        return ask
    later = yield from asking(refiner.model, wishes, sampling, source, like, None)
    return lambda x, sigma, call: (ask if call < refiner.call else later)(x, sigma, call)


def reading(model: StableDiffusion, wishes: Wishes, sampling: Sampling, beside: Beside, like: Tensor) -> Run[Ask]:
    """The texts are encoded once; then every step asks the model of them, and of each region's."""
    plan, ask = sampling.tiled, None
    if plan is None or plan.draw_background or not wishes.regions:
        texts = yield from encoded_texts(model, wishes.prompt, wishes.negative_prompt, wishes.text, sampling)
        ask = under(model, texts, sampling, seeing(model, beside, like, plan))
    if plan is not None and wishes.regions:
        layers = yield from regional(model, wishes, sampling, beside, like)
        ask = layered(ask, layers, plan, like)
    assert ask is not None
    return ask


def regional(
    model: StableDiffusion, wishes: Wishes, sampling: Sampling, beside: Beside, like: Tensor
) -> Run[list[Layer]]:
    """Each region looked at by itself, under its own texts."""
    layers = []
    for wish in wishes.regions:
        box = box_of(wish.region, (like.shape[1], like.shape[2]))
        texts = yield from encoded_texts(model, wish.prompt, wish.negative_prompt, wishes.text, sampling)
        ask = under(model, texts, sampling, seeing(model, beside, like, sampling.tiled, box), box)
        layers.append(Layer(wish.region, box, ask))
    return layers


def encoded_texts(
    model: StableDiffusion, prompt: str, negative_prompt: str, text: TextSettings, sampling: Sampling
) -> Run[Texts]:
    edits, hires = sampling.edits or sampling.calls, sampling.hires_edits
    cond = yield from encode_prompt(model, prompt, edits, text, compose=True, hires_calls=hires)
    uncond = yield from encode_prompt(model, negative_prompt, edits, text, compose=False, hires_calls=hires)
    return Texts(cond, uncond)


def under(model: StableDiffusion, texts: Texts, sampling: Sampling, see: See, box: Box | None = None) -> Ask:
    """What is seen under these texts, guided; box: all that ``see`` looks at."""
    return lambda x, sigma, call: predict(model, x, sigma, texts, see, sampling, call, box)


def behind(ask: Ask, original: Tensor, redraw: Tensor, soft: SoftInpainting | None) -> Ask:
    """Inpainting with any model: after each call, what the mask leaves alone is put back into the prediction."""

    def blended(x: Tensor, sigma: float, call: int) -> Run[Prediction]:
        prediction = yield from ask(x, sigma, call)
        new = prediction.denoised
        if soft is None:
            return Prediction(mixed(original, new, redraw), prediction.uncond)
        return Prediction(mixed_softly(original, new, redraw, sigma, soft), prediction.uncond)

    return blended


def start(unit: Tensor, sampling: Sampling) -> Tensor:
    """The first x of pure noise.  Samplers of the variance-preserving family begin at N(0, 1) in *their* space."""
    sigma = float(sampling.sigmas[0])
    return unit * (math.sqrt(1 + sigma**2) if sampling.sampler.vp else sigma)


def finish(x: Tensor, sampling: Sampling) -> Tensor:
    """The last x as latents.  DDIM and its kin stop at alpha_0 < 1 and return their own, variance-preserving, x."""
    sigma = float(sampling.sigmas[-1])
    return x / math.sqrt(1 + sigma**2) if sampling.sampler.vp else x


def drive(x: Tensor, sampling: Sampling, noise: PictureNoise, watch: Watch, ask: Ask) -> Run[Tensor]:
    """Drive a sampler from sigmas[0] to sigmas[-1]: it names x and sigma and is sent what is seen there."""
    solver = sampling.sampler(x, sampling.sigmas, increments(noise, sampling), **sampling.options)
    x, sigma = next(solver)
    for call in count():
        prediction = yield from ask(x, float(sigma), call)
        watch(call, x, float(sigma), prediction.denoised)
        try:
            x, sigma = solver.send(prediction)
        except StopIteration as finished:
            result: Tensor = finished.value
            return result
    raise AssertionError("a sampler never ends without returning")


def predict(
    model: StableDiffusion,
    x: Tensor,
    sigma: float,
    texts: Texts,
    see: See,
    sampling: Sampling,
    call: int,
    box: Box | None = None,
) -> Run[Prediction]:
    """What the model sees in x at sigma, guided by the texts: one row a text that counts, combined."""
    guidance, calls = sampling.guidance, sampling.calls
    scale = guidance.at(sigma, call, calls)
    parts = texts.cond.at(call) if scale else []
    weights = [weight for _, weight in parts]
    if guidance.needs_uncond(sigma, call, calls, weights) or sampling.sampler.needs_uncond:
        parts = parts + texts.uncond.at(call)
    answers = yield from see(x, sigma, [text for text, _ in parts])
    return guidance.combine(
        list(zip(answers, weights, strict=False)),
        answers[-1] if len(answers) > len(weights) else None,
        scale=scale,
        prediction=model.spec.prediction,
        x=x if box is None else box.of(x),
        sigma=sigma,
    )


def increments(noise: PictureNoise, sampling: Sampling) -> Noise:
    """The noise this sampler asks for: fresh draws, or a Brownian path over the whole schedule."""
    if sampling.sampler.noise != "brownian":
        return noise.ancestral
    whole = sampling.sigmas if sampling.whole is None else sampling.whole
    positive = whole[whole > 0]
    return noise.brownian(float(positive.min()), float(positive.max()))
