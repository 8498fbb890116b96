"""Which infotext key means which field of a request, in both directions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from inkwash.core import infotext_edits
from inkwash.core.choices import split_sampler
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest, VaeTiles

Pairs = list[tuple[str, str]]

EXACT_PROMPT = "Exact prompt"
EXACT_NEGATIVE = "Exact negative prompt"

# Keys written when the field differs from its default, in A1111's order of extras; the last ones are this program's.
OPTIONAL: tuple[tuple[str, str], ...] = (
    ("Prediction", "prediction"),
    ("EMA", "ema"),
    ("Emphasis", "emphasis"),
    ("Eta", "eta"),
    ("Sigma churn", "s_churn"),
    ("Sigma tmax", "s_tmax"),
    ("Sigma tmin", "s_tmin"),
    ("Sigma noise", "s_noise"),
    ("Schedule min sigma", "sigma_min"),
    ("Schedule max sigma", "sigma_max"),
    ("Schedule rho", "rho"),
    ("Discard penultimate sigma", "discard_penultimate_sigma"),
    ("NGMS", "ngms"),
    ("NGMS all steps", "ngms_all_steps"),
    ("Skip Early CFG", "skip_early_cfg"),
    ("CFG Rescale", "cfg_rescale"),
    ("Guidance start", "guidance_start"),
    ("Guidance end", "guidance_end"),
    ("Sigmas", "sigmas"),
    ("Styles", "styles"),
    ("Strict", "strict"),
)
DEFAULTS = GenerateRequest()


def pairs(
    request: GenerateRequest,
    *,
    seed: int,
    subseed: int,
    model: tuple[str | None, str | None],
    vae: tuple[str | None, str | None],
) -> Pairs:
    """The parameter line of one picture, in A1111's order.  model, vae: name and short hash, None where unknown."""
    found: list[tuple[str, object | None]] = [
        ("Steps", request.steps),
        ("Sampler", request.sampler),
        ("Schedule type", request.schedule),
        ("CFG scale", request.cfg_scale),
        ("Seed", seed),
        ("Face restoration", request.restore_faces),
        ("Size", _size(request.width, request.height)),
        ("Model hash", model[1]),
        ("Model", model[0]),
        ("VAE hash", vae[1]),
        ("VAE", vae[0]),
    ]
    if request.subseed_strength > 0:
        found += [("Variation seed", subseed), ("Variation seed strength", request.subseed_strength)]
    if request.seed_resize_from_w > 0 and request.seed_resize_from_h > 0:
        found.append(("Seed resize from", _size(request.seed_resize_from_w, request.seed_resize_from_h)))
    found += [
        *infotext_edits.strength(request),
        ("Clip skip", request.clip_skip if request.clip_skip > 1 else None),
        ("ENSD", request.ensd or None),
        *infotext_edits.hashes(request),
        ("RNG", request.noise_source if request.noise_source != "GPU" else None),
        ("CodeFormer weight", _codeformer_weight(request)),
        ("Tiling", request.tiling or None),
        ("VAE tiles", _told_tiles(request.vae_tiles)),
        *infotext_edits.extras(request),
    ]
    for key, name in OPTIONAL:
        value = getattr(request, name)
        found.append((key, None if value == getattr(DEFAULTS, name) else value))
    return [(key, _show(value)) for key, value in found if value is not None]


def exact_prompts(request: GenerateRequest, parsed: Mapping[str, str]) -> Pairs:
    """Prompts the format would change (edge spaces, a line that begins "Negative prompt:"), to be written once more."""
    wanted = ((EXACT_PROMPT, request.prompt, "Prompt"), (EXACT_NEGATIVE, request.negative_prompt, "Negative prompt"))
    return [(key, text) for key, text, plain in wanted if parsed[plain] != text]


def request(parsed: Mapping[str, str]) -> GenerateRequest:
    """The inverse of ``pairs``; keys this version does not know are left out.  Raises InvalidRequest."""
    sampler, schedule = parsed.get("Sampler", DEFAULTS.sampler), parsed.get("Schedule type")
    if schedule is None:
        sampler, schedule = split_sampler(sampler)
    fields: dict[str, Any] = {
        "prompt": parsed.get(EXACT_PROMPT, parsed.get("Prompt", "")),
        "negative_prompt": parsed.get(EXACT_NEGATIVE, parsed.get("Negative prompt", "")),
        "sampler": sampler,
        "schedule": schedule,
        "noise_source": parsed.get("RNG", "GPU"),  # A1111 names the source only when it is not the card
    }
    for key, name, read in READ:
        if key in parsed:
            fields[name] = _read(key, parsed[key], read)
    fields |= infotext_edits.read(
        parsed, lambda key, text: _read(key, text, _number), lambda key, text: _read(key, text, int)
    )
    if "model" not in fields and "Model hash" in parsed:
        fields["model"] = parsed["Model hash"]
    return GenerateRequest(**fields)


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.strip().lower()]


def _number(text: str) -> float:
    value = float(text)
    if math.isnan(value):
        raise ValueError(text)
    return value


def _codeformer_weight(request: GenerateRequest) -> float | None:
    """Only where faces are restored, and then only if it is not the usual one."""
    usual = request.restore_faces is None or request.codeformer_weight == DEFAULTS.codeformer_weight
    return None if usual else request.codeformer_weight


def _told_tiles(tiles: VaeTiles | None) -> str | None:
    """Only what changes the picture."""
    return None if tiles is None or tiles.fast is None else "fast" if tiles.fast else "exact"


def _tiles(text: str) -> VaeTiles:
    return VaeTiles(fast={"fast": True, "exact": False}[text.strip().lower()])


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(_number(part) for part in text.split())


def _names(text: str) -> tuple[str, ...]:
    names = json.loads(text)
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ValueError(text)
    return tuple(names)


READ: tuple[tuple[str, str, Callable[[str], object]], ...] = (
    ("Steps", "steps", int),
    ("CFG scale", "cfg_scale", _number),
    ("Seed", "seed", int),
    ("Face restoration", "restore_faces", str),
    ("CodeFormer weight", "codeformer_weight", _number),
    ("Size-1", "width", int),
    ("Size-2", "height", int),
    ("Model", "model", str),
    ("VAE", "vae", str),
    ("Variation seed", "subseed", int),
    ("Variation seed strength", "subseed_strength", _number),
    ("Seed resize from-1", "seed_resize_from_w", int),
    ("Seed resize from-2", "seed_resize_from_h", int),
    ("Clip skip", "clip_skip", int),
    ("ENSD", "ensd", int),
    ("Tiling", "tiling", _boolean),
    ("Prediction", "prediction", str),
    ("EMA", "ema", _boolean),
    ("Emphasis", "emphasis", str),
    ("Eta DDIM", "eta", _number),
    ("Eta", "eta", _number),
    ("Sigma churn", "s_churn", _number),
    ("Sigma tmax", "s_tmax", _number),
    ("Sigma tmin", "s_tmin", _number),
    ("Sigma noise", "s_noise", _number),
    ("Schedule min sigma", "sigma_min", _number),
    ("Schedule max sigma", "sigma_max", _number),
    ("Schedule rho", "rho", _number),
    ("Discard penultimate sigma", "discard_penultimate_sigma", _boolean),
    ("NGMS", "ngms", _number),
    ("NGMS all steps", "ngms_all_steps", _boolean),
    ("Skip Early CFG", "skip_early_cfg", _number),
    ("CFG Rescale", "cfg_rescale", _number),
    ("Guidance start", "guidance_start", _number),
    ("Guidance end", "guidance_end", _number),
    ("Sigmas", "sigmas", _numbers),
    ("Styles", "styles", _names),
    ("Strict", "strict", _boolean),
    ("VAE tiles", "vae_tiles", _tiles),
    ("Resize mode", "resize_mode", str),
    ("Exact steps", "exact_steps", _boolean),
    ("Noise multiplier", "initial_noise_multiplier", _number),
    ("Color correction", "color_correction", _boolean),
    ("Noise level", "noise_level", int),
    ("Mask blur", "mask_blur", _number),
    ("Mask blur y", "mask_blur_y", _number),
    ("Mask round", "mask_round", _boolean),
    ("Masked content", "inpainting_fill", str),
    ("Masked area padding", "only_masked_padding", int),
    ("Refiner", "refiner", str),
    ("Refiner switch at", "refiner_switch_at", _number),
)


def _read(key: str, text: str, read: Callable[[str], object]) -> object:
    try:
        return read(text)
    except (ValueError, KeyError, RecursionError):
        raise InvalidRequest(
            f"The picture's parameters hold {key}: {text[:60]!r}, which is not a value for it.",
            "Correct it in the text, or leave that pair out.",
        ) from None


def _size(width: int | None, height: int | None) -> str | None:
    return f"{width}x{height}" if width is not None and height is not None else None


def _show(value: object) -> str:
    """Whole floats without ".0", as A1111 shows them; every other float so that it reads back exactly."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, tuple):
        if all(isinstance(part, float | int) for part in value) and value:
            return " ".join(_show(float(part)) for part in value)
        return json.dumps(value, ensure_ascii=False)
    return str(value)
