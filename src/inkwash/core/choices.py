"""Names people choose from, known without importing torch, and what they probably meant by another.

A test holds SAMPLERS and SCHEDULES equal to the registries of ``inkwash.diffusion``.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TypeVar, get_args

from inkwash.core.errors import InvalidRequest
from inkwash.core.request import (
    Emphasis,
    InpaintingFill,
    NoiseSource,
    Prediction,
    RegionBlend,
    ResizeMode,
    TileMethod,
)

T = TypeVar("T", bound=str)

SAMPLERS = (
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler",
    "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC",
    "LCM", "HeunPP2", "IPNDM", "IPNDM_V", "DEIS",
)  # fmt: skip
SCHEDULES = (
    "Automatic", "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal",
    "Align Your Steps", "Simple", "Normal", "DDIM", "Beta",
)  # fmt: skip
EMPHASIS: tuple[Emphasis, ...] = get_args(Emphasis)
NOISE_SOURCES: tuple[NoiseSource, ...] = get_args(NoiseSource)
INPAINTING_FILLS: tuple[InpaintingFill, ...] = get_args(InpaintingFill)
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)
PREDICTION_WORDS: dict[str, Prediction] = {
    **{"eps": "epsilon", "v": "v_prediction", "v-prediction": "v_prediction", "x0": "sample"},
    **{name: name for name in PREDICTIONS},
}  # what people and programs call them
RESIZE_MODES: tuple[ResizeMode, ...] = get_args(ResizeMode)
TILE_METHODS: tuple[TileMethod, ...] = get_args(TileMethod)
REGION_BLENDS: tuple[RegionBlend, ...] = get_args(RegionBlend)
LATENT_UPSCALERS = (
    "Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (bicubic antialiased)", "Latent (nearest)",
    "Latent (nearest-exact)",
)  # fmt: skip
LANCZOS = "Lanczos"
PICTURE_UPSCALERS = ("Nearest", LANCZOS)
UPSCALERS = LATENT_UPSCALERS + PICTURE_UPSCALERS  # beside those that are files
AUTOMATIC = "Automatic"  # of face restorers: the best there is
DTYPES = ("float32", "bfloat16", "float16")
PICTURE_FORMATS = ("png", "jpeg", "webp")
QUALITY = 90  # of JPEG and WebP, 1..100


def nearest(name: str, choices: Sequence[str], count: int = 3) -> list[str]:
    """The choices a person most likely meant, best first; letters' case does not count."""
    folded = {choice.casefold(): choice for choice in choices}
    wanted = name.casefold().strip()
    close = difflib.get_close_matches(wanted[:200], folded, n=count, cutoff=0.5)
    starts = [key for key in folded if wanted and key.startswith(wanted) and key not in close]
    return [folded[key] for key in [*close, *starts]][:count]


def split_sampler(sampler: str, schedule: str = "Automatic") -> tuple[str, str]:
    """Sampler and schedule; until A1111's version 1.9 one name held both, as in "DPM++ 2M Karras"."""
    folded = sampler.casefold().strip()
    if schedule.casefold() != "automatic" or any(folded == name.casefold() for name in SAMPLERS):
        return sampler, schedule
    for name in sorted(SCHEDULES, key=len, reverse=True):
        stem = folded.removesuffix(f" {name.casefold()}")
        if stem != folded and stem:
            return sampler.strip()[: len(stem)], name
    return sampler, schedule


def choose(field: str, name: str, choices: Sequence[T]) -> T:
    """The choice itself, whatever the case it was typed in.  Raises InvalidRequest with the nearest names."""
    for choice in choices:
        if choice.casefold() == name.casefold().strip():
            return choice
    close = nearest(name, choices)
    remedy = f"Did you mean {' or '.join(close)}?" if close else f"Choose one of: {', '.join(choices)}."
    raise InvalidRequest(f"There is no {field} called {name[:80]!r}.", remedy, field.replace(" ", "_"))


def prediction_named(name: str) -> Prediction:
    """diffusers' word for a prediction type, also from the short ones.  Raises InvalidRequest."""
    return PREDICTION_WORDS.get(name.casefold().strip()) or choose("prediction", name, PREDICTIONS)
