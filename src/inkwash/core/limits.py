"""Whether a request can be drawn at all, answered in words before torch or a model is loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from inkwash.core.choices import EMPHASIS, NOISE_SOURCES, SAMPLERS, SCHEDULES, choose, split_sampler
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest


@dataclass(frozen=True)
class Limits:
    """Upper bounds that keep a slip of the finger, or a stranger, from taking the machine."""

    side: int = 8192  # pixels
    steps: int = 1000
    batch_size: int = 64
    batch_count: int = 10_000
    prompt: int = 100_000  # characters


MULTIPLE = 8  # a latent is an eighth of the picture's side
SEED = 2**64  # what torch's generators take

# field, lowest, highest; None where there is no bound
RANGES: tuple[tuple[str, float | None, float | None], ...] = (
    ("seed", None, SEED - 1),  # any negative one means: draw one
    ("subseed", None, SEED - 1),
    ("subseed_strength", 0, 1),
    ("clip_skip", 1, 12),
    ("cfg_scale", 0, 1000),
    ("cfg_rescale", 0, 1),
    ("guidance_start", 0, 1),
    ("guidance_end", 0, 1),
    ("skip_early_cfg", 0, 1),
    ("ngms", 0, None),
    ("eta", 0, 100),
    ("s_churn", 0, None),
    ("s_tmin", 0, None),
    ("s_tmax", 0, None),
    ("s_noise", 0, 100),
    ("sigma_min", 0, None),
    ("sigma_max", 0, None),
    ("rho", 0, 1000),
)
UNBOUNDED = ("s_tmax",)  # may be infinite


def check(request: GenerateRequest, limits: Limits | None = None) -> GenerateRequest:
    """The request with its names in their proper spelling.  Raises InvalidRequest naming the first bad field."""
    limits = limits or Limits()
    _check_text(request, limits)
    for field, side in (("width", request.width), ("height", request.height)):
        if side is not None:
            _check_side(field, side, limits)
    for field, lowest, highest in (
        *RANGES,
        ("steps", 1, limits.steps),
        ("batch_size", 1, limits.batch_size),
        ("batch_count", 1, limits.batch_count),
    ):
        _check_range(field, getattr(request, field), lowest, highest)
    _check_pairs(request)
    sampler, schedule = split_sampler(request.sampler, request.schedule)
    return replace(
        request,
        sampler=choose("sampler", sampler, SAMPLERS),
        schedule=choose("schedule", schedule, SCHEDULES),
        emphasis=choose("emphasis", request.emphasis, EMPHASIS),
        noise_source=choose("noise source", request.noise_source, NOISE_SOURCES),
    )


def _check_text(request: GenerateRequest, limits: Limits) -> None:
    for field in ("prompt", "negative_prompt"):
        text: str = getattr(request, field)
        if len(text) > limits.prompt:
            raise InvalidRequest(
                f"{field} has {len(text)} characters; at most {limits.prompt} are taken.", "Shorten it.", field
            )
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidRequest(f"{field} is not valid Unicode text.", "Check the terminal's encoding (UTF-8).", field)


def _check_side(field: str, side: int, limits: Limits) -> None:
    if not MULTIPLE <= side <= limits.side:
        raise InvalidRequest(
            f"{field} is {side}; it must lie between {MULTIPLE} and {limits.side} pixels.", "Try 512.", field
        )
    if side % MULTIPLE:
        lower = side // MULTIPLE * MULTIPLE
        raise InvalidRequest(
            f"{field} is {side}, which is not a multiple of {MULTIPLE}.",
            f"Try {lower or MULTIPLE} or {lower + MULTIPLE}.",
            field,
        )


def _check_range(field: str, value: float | None, lowest: float | None, highest: float | None) -> None:
    if value is None:
        return
    finite = math.isfinite(value) or (field in UNBOUNDED and value == math.inf)
    if finite and (lowest is None or value >= lowest) and (highest is None or value <= highest):
        return
    if lowest is None or highest is None:
        span = f"at least {lowest}" if highest is None else f"at most {highest}"
    else:
        span = f"between {lowest} and {highest}"
    raise InvalidRequest(f"{field} is {value}; it must be {span}.", f"Give {field} a value in that range.", field)


def _check_pairs(request: GenerateRequest) -> None:
    """Fields that only make sense together."""
    if request.guidance_start > request.guidance_end:
        raise InvalidRequest(
            f"guidance_start {request.guidance_start} lies after guidance_end {request.guidance_end}.",
            "Swap them.",
            "guidance_start",
        )
    low, high = request.sigma_min, request.sigma_max
    if low is not None and high is not None and low >= high:
        raise InvalidRequest(
            f"sigma_min {low} is not below sigma_max {high}.", "Swap them, or leave them out.", "sigma_min"
        )
    if request.sigmas is not None:
        _check_sigmas(request.sigmas)


def _check_sigmas(sigmas: tuple[float, ...]) -> None:
    descending = all(a > b for a, b in pairwise(sigmas))
    if len(sigmas) < 2 or not all(map(math.isfinite, sigmas)) or sigmas[-1] < 0 or not descending:
        raise InvalidRequest(
            f"sigmas must be at least two numbers, each below the one before it, none negative; found {sigmas[:8]}.",
            "For example 14.6 8 4 2 1 0.5 0.",
            "sigmas",
        )
