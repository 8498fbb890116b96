"""The infotext keys of pictures made from pictures: source, mask, hires pass, refiner.  A1111's, and a few more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from inkwash.core import infotext_tiles
from inkwash.core.fingerprints import KEYS, fingerprint
from inkwash.core.request import GenerateRequest, HiresPass, SoftInpainting


class Number(Protocol):
    """Reads a value: the key it stands under, and its text.  Raises InvalidRequest."""

    def __call__(self, key: str, text: str, /) -> Any: ...


Found = list[tuple[str, object | None]]

DEFAULTS = GenerateRequest()
STRENGTH, HIRES_STRENGTH = "Denoising strength", "Hires denoising strength"
NOT_MASKED, ONLY_MASKED = "Inpaint not masked", "Only masked"

# Key, field of HiresPass; each is written when it differs from the default.
HIRES: tuple[tuple[str, str], ...] = (
    ("Hires steps", "steps"),
    ("Hires checkpoint", "model"),
    ("Hires sampler", "sampler"),
    ("Hires schedule type", "schedule"),
    ("Hires prompt", "prompt"),
    ("Hires negative prompt", "negative_prompt"),
)
SOFT: tuple[tuple[str, str], ...] = (
    ("Soft inpainting schedule bias", "schedule_bias"),
    ("Soft inpainting preservation strength", "preservation_strength"),
    ("Soft inpainting transition contrast boost", "transition_contrast"),
    ("Soft inpainting mask influence", "mask_influence"),
    ("Soft inpainting difference threshold", "difference_threshold"),
    ("Soft inpainting difference contrast", "difference_contrast"),
)


def strength(request: GenerateRequest) -> Found:
    """A1111 has one key for picture to picture and for the hires pass; a request with both needs one more."""
    found: Found = []
    if request.init_image is not None:
        given = request.denoising_strength
        found.append((STRENGTH, DEFAULTS.denoising_strength if given is None else given))
    if request.hires is not None:
        found.append((HIRES_STRENGTH if found else STRENGTH, request.hires.denoising_strength))
    return found


def hashes(request: GenerateRequest) -> Found:
    """The pictures this one was made from, by the hash of their pixels."""
    given = [(key, getattr(request, field)) for key, field in KEYS.items()]
    found: Found = [(key, fingerprint(image)) for key, image in given if image is not None]
    size = next((image.size for _, image in given if image is not None), None)
    return found + ([("Init image size", f"{size[0]}x{size[1]}")] if size else [])


def extras(request: GenerateRequest) -> Found:
    edited = [*_hires(request.hires), *_refiner(request), *_source(request), *_mask(request)]
    return [*edited, *infotext_tiles.extras(request)]


def _hires(hires: HiresPass | None) -> Found:
    if hires is None:
        return []
    sized = hires.width > 0 or hires.height > 0
    found: Found = [("Hires resize", f"{hires.width}x{hires.height}") if sized else ("Hires upscale", hires.scale)]
    default = HiresPass()
    for key, name in HIRES:
        value = getattr(hires, name)
        found.append((key, None if value == getattr(default, name) else value))
    return [*found, ("Hires upscaler", hires.upscaler)]


def _refiner(request: GenerateRequest) -> Found:
    if request.refiner is None:
        return []
    return [("Refiner", request.refiner), ("Refiner switch at", request.refiner_switch_at)]


def _source(request: GenerateRequest) -> Found:
    if request.init_image is None:
        return []
    multiplier = request.initial_noise_multiplier
    return [
        ("Resize mode", None if request.resize_mode == DEFAULTS.resize_mode else request.resize_mode),
        ("Exact steps", request.exact_steps or None),
        ("Noise multiplier", None if multiplier == 1 else multiplier),
        ("Color correction", request.color_correction or None),
        ("Noise level", None if request.noise_level == DEFAULTS.noise_level else request.noise_level),
    ]


def _mask(request: GenerateRequest) -> Found:
    if request.mask is None:
        return []
    soft = request.soft_inpainting
    found: Found = [
        ("Mask mode", NOT_MASKED if request.mask_invert else None),
        ("Mask blur", request.mask_blur),
        ("Mask blur y", request.mask_blur_y),
        ("Mask round", None if request.mask_round else False),
        ("Masked content", request.inpainting_fill),
        ("Inpaint area", ONLY_MASKED if request.only_masked else None),
        ("Masked area padding", request.only_masked_padding if request.only_masked else None),
    ]
    if soft is not None:
        found += [("Soft inpainting enabled", True), *((key, getattr(soft, name)) for key, name in SOFT)]
    return found


def read(parsed: Mapping[str, str], number: Number, whole: Number) -> dict[str, Any]:
    """Fields of a request; the pictures themselves are left to ``sources``.  number, whole: read a float, an int."""
    values: dict[str, Any] = {}
    hires = _read_hires(parsed, number, whole)
    if STRENGTH in parsed and (hires is None or HIRES_STRENGTH in parsed):
        values["denoising_strength"] = number(STRENGTH, parsed[STRENGTH])
    if hires is not None:
        values["hires"] = hires
    if "Mask mode" in parsed:
        values["mask_invert"] = parsed["Mask mode"] == NOT_MASKED
    if "Inpaint area" in parsed:
        values["only_masked"] = parsed["Inpaint area"] == ONLY_MASKED
    if parsed.get("Soft inpainting enabled") == "True":
        soft = {name: number(key, parsed[key]) for key, name in SOFT if key in parsed}
        values["soft_inpainting"] = SoftInpainting(**soft)
    return values | infotext_tiles.read(parsed, number, whole)


def _read_hires(parsed: Mapping[str, str], number: Number, whole: Number) -> HiresPass | None:
    if not any(key in parsed for key in ("Hires upscale", "Hires resize-1", "Hires upscaler")):
        return None
    values: dict[str, Any] = {name: parsed[key] for key, name in HIRES if key in parsed}
    if "steps" in values:
        values["steps"] = whole("Hires steps", values["steps"])
    for key, name in (("Hires resize-1", "width"), ("Hires resize-2", "height")):
        if key in parsed:
            values[name] = whole(key, parsed[key])
    if "Hires upscale" in parsed:
        values["scale"] = number("Hires upscale", parsed["Hires upscale"])
    strength = HIRES_STRENGTH if HIRES_STRENGTH in parsed else STRENGTH
    if strength in parsed:
        values["denoising_strength"] = number(strength, parsed[strength])
    if "Hires upscaler" in parsed:
        values["upscaler"] = parsed["Hires upscaler"]
    return HiresPass(**values)
