"""What a command's flags ask for: flags -> GenerateRequest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inkwash.cli.panels import DRAWING
from inkwash.cli.panels_edits import EDITING
from inkwash.core import wire
from inkwash.core.errors import InvalidRequest
from inkwash.core.parameter import SWITCH
from inkwash.core.request import (
    GenerateRequest,
    HiresPass,
    NoiseInversion,
    Region,
    SDUpscale,
    SoftInpainting,
    TiledDiffusion,
    VaeTiles,
)

FIELDS = {flag.name: flag.field for flag in (*DRAWING, *EDITING) if flag.field}
REGION = '--region "0 0.5 1 0.5: a lake"'

Inner = dict[str, Any]  # of a nested object: the values of its fields that have flags, and its switch


def request_of(flags: Mapping[str, Any], **more: Any) -> GenerateRequest:
    """The request that flags describe.  more: fields that none of them sets.  Raises InvalidRequest."""
    told = {FIELDS[name]: value for name, value in flags.items() if name in FIELDS}
    values = {field: value for field, value in told.items() if "." not in field}
    values["styles"] = tuple(values["styles"] or ())
    values["sigmas"] = None if values["sigmas"] is None else numbers(values["sigmas"])
    return GenerateRequest(
        **(values | more),
        hires=hires_of(inside("hires", told)),
        soft_inpainting=soft_of(inside("soft_inpainting", told)),
        tiled=tiled_of(inside("tiled", told)),
        noise_inversion=inversion_of(inside("noise_inversion", told)),
        sd_upscale=upscale_of(inside("sd_upscale", told)),
        vae_tiles=vae_tiles_of(inside("vae_tiles", told)),
    )


def inside(outer: str, told: Mapping[str, Any]) -> Inner:
    return {field.removeprefix(f"{outer}."): value for field, value in told.items() if field.startswith(f"{outer}.")}


def hires_of(inner: Inner) -> HiresPass | None:
    """--hires, or any flag that says how large: a second pass."""
    on, scale = inner.pop(SWITCH), inner.pop("scale")
    if not (on or scale or inner["width"] or inner["height"]):
        return None
    return HiresPass(scale=scale or HiresPass().scale, **inner)


def soft_of(inner: Inner) -> SoftInpainting | None:
    return SoftInpainting(**inner) if inner.pop(SWITCH, False) else None


def inversion_of(inner: Inner) -> NoiseInversion | None:
    return NoiseInversion(**inner) if inner.pop(SWITCH, False) else None


def upscale_of(inner: Inner) -> SDUpscale | None:
    """The flag that switches it on says how many times."""
    return None if inner.get("scale") is None else SDUpscale(**inner)


def vae_tiles_of(inner: Inner) -> VaeTiles | None:
    """One flag says the size for both directions: a latent pixel is 8 pixels of the picture."""
    tile, fast = inner["decoder_tile"], inner["fast"]
    if tile is None:
        return None if fast is None else VaeTiles(fast=fast)
    return VaeTiles(encoder_tile=8 * tile, decoder_tile=tile, fast=fast)


def tiled_of(inner: Inner) -> TiledDiffusion | None:
    """--tiled, a region or an upscaler: tiled diffusion."""
    on, regions = inner.pop(SWITCH), inner.pop("regions") or ()
    if not (on or regions or inner.get("upscaler")):
        return None
    return TiledDiffusion(regions=tuple(region_of(text) for text in regions), **inner)


def region_of(text: str) -> Region:
    """ "x y w h: prompt" in fractions of the picture, or a JSON object of a region's fields.  Raises InvalidRequest."""
    if text.lstrip().startswith("{"):
        try:
            told = json.loads(text)
        except ValueError:
            raise InvalidRequest(f"--region {text!r} is not JSON.", f"For example {REGION}.") from None
        (region,) = tiled_regions([told])
        return region
    place, colon, prompt = text.partition(":")
    try:
        x, y, w, h = (float(part) for part in place.replace(",", " ").split())
    except ValueError:
        colon = ""
    if not colon:
        raise InvalidRequest(f"--region {text!r} says no place.", f"For example {REGION}.")
    return Region(x=x, y=y, w=w, h=h, prompt=prompt.strip())


def tiled_regions(told: list[Any]) -> tuple[Region, ...]:
    tiled = wire.from_json({"tiled": {"regions": told}}).tiled
    return tiled.regions if tiled else ()


def numbers(text: str) -> tuple[float, ...]:
    """Numbers between spaces or commas.  Raises InvalidRequest."""
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise InvalidRequest(f"--sigmas {text!r} are not numbers.", 'For example --sigmas "14.6 7 3 1 0".') from None
