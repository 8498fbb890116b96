"""The infotext keys of pictures drawn in tiles: A1111's for SD upscale, the Tiled Diffusion extension's object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest, NoiseInversion, Region, SDUpscale, TiledDiffusion

Found = list[tuple[str, object | None]]

TILED, STRUCTURE = "Tiled Diffusion", "Keep structure"
OVERLAP, UPSCALER, SCALE = "SD upscale overlap", "SD upscale upscaler", "SD upscale scale"

# The extension's names inside its object, field of TiledDiffusion, NoiseInversion or Region.
TILED_NAMES: tuple[tuple[str, str], ...] = (
    ("Method", "method"),
    ("Tile tile width", "tile_width"),
    ("Tile tile height", "tile_height"),
    ("Tile Overlap", "overlap"),
    ("Tile batch size", "tile_batch"),
)
ENLARGING: tuple[tuple[str, str], ...] = (("Upscaler", "upscaler"), ("Scale factor", "scale"))
INVERSION: tuple[tuple[str, str], ...] = (
    ("NoiseInv Steps", "steps"),
    ("NoiseInv Retouch", "retouch"),
    ("NoiseInv Renoise strength", "renoise_strength"),
    ("NoiseInv Kernel size", "renoise_kernel"),
)
REGION: tuple[tuple[str, str], ...] = (
    ("x", "x"),
    ("y", "y"),
    ("w", "w"),
    ("h", "h"),
    ("prompt", "prompt"),
    ("neg_prompt", "negative_prompt"),
    ("blend_mode", "blend"),
    ("feather_ratio", "feather_ratio"),
    ("weight", "weight"),
    ("seed", "seed"),
)
SWITCH, REGIONS, BACKGROUND = "NoiseInv", "Region control", "Draw background"
ALONE = "Noise inversion"
"""Our key for the extension's pairs where there are no tiles."""


def extras(request: GenerateRequest) -> Found:
    return [*_upscale(request), *_tiled(request)]


def _upscale(request: GenerateRequest) -> Found:
    upscale, kept = request.sd_upscale, request.keep_structure
    found: Found = []
    if upscale is not None:
        found = [(OVERLAP, upscale.overlap), (UPSCALER, upscale.upscaler), (SCALE, upscale.scale)]
    plain = kept is None or (kept == 0 and upscale is None)
    return [*found, (STRUCTURE, None if plain else kept)]


def _tiled(request: GenerateRequest) -> Found:
    tiled, inversion = request.tiled, request.noise_inversion
    inverting = _named(inversion, INVERSION) if inversion else {}
    if tiled is None:
        return [(ALONE, json.dumps(inverting))] if inversion else []
    told: dict[str, Any] = _named(tiled, TILED_NAMES)
    if tiled.upscaler is not None:
        told |= _named(tiled, ENLARGING)
    if inversion is not None:
        told |= {SWITCH: True} | inverting
    if not tiled.draw_background:
        told[BACKGROUND] = False
    if tiled.regions:
        told[REGIONS] = {f"Region {number}": _named(one, REGION) for number, one in enumerate(tiled.regions, 1)}
    return [(TILED, json.dumps(told, ensure_ascii=False))]


def _named(value: object, names: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return {name: getattr(value, field) for name, field in names}


def read(parsed: Mapping[str, str], number: Any, whole: Any) -> dict[str, Any]:
    """Fields of a request.  number, whole: read a float, an int.  Raises InvalidRequest."""
    values: dict[str, Any] = {}
    if OVERLAP in parsed or UPSCALER in parsed:
        given = {name: reads(key, parsed[key]) for key, name, reads in (
            (OVERLAP, "overlap", whole), (SCALE, "scale", number), (UPSCALER, "upscaler", lambda key, text: text),
        ) if key in parsed}  # fmt: skip
        values["sd_upscale"] = SDUpscale(**given)
    if STRUCTURE in parsed:
        values["keep_structure"] = number(STRUCTURE, parsed[STRUCTURE])
    if ALONE in parsed:
        values["noise_inversion"] = _made(NoiseInversion, ALONE, _object(ALONE, parsed[ALONE]), INVERSION)
    if TILED in parsed:
        values |= _read_tiled(_object(TILED, parsed[TILED]))
    return values


def _read_tiled(told: Mapping[str, Any]) -> dict[str, Any]:
    tiled = _made(TiledDiffusion, TILED, told, (*TILED_NAMES, *ENLARGING, (BACKGROUND, "draw_background")))
    regions = told.get(REGIONS) or {}
    if not isinstance(regions, Mapping):
        raise _senseless(TILED, REGIONS)
    inside = tuple(_made(Region, TILED, one, REGION) for one in regions.values())
    values: dict[str, Any] = {"tiled": TiledDiffusion(**tiled.__dict__ | {"regions": inside})}
    if told.get(SWITCH):
        values["noise_inversion"] = _made(NoiseInversion, TILED, told, INVERSION)
    return values


def _object(key: str, text: str) -> Mapping[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, Mapping):
        raise _senseless(key, text)
    return told


def _made(kind: Any, key: str, told: object, names: tuple[tuple[str, str], ...]) -> Any:
    """An object of the fields that are told, each of its default's type.  Raises InvalidRequest."""
    if not isinstance(told, Mapping):
        raise _senseless(key, str(told))
    given = {field: _typed(key, name, told[name], getattr(kind(), field)) for name, field in names if name in told}
    return kind(**given)


def _typed(key: str, name: str, value: object, default: object) -> object:
    if isinstance(default, float) and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not (str if default is None else type(default)):
        raise _senseless(key, f"{name}: {value}")
    return value


def _senseless(key: str, text: str) -> InvalidRequest:
    return InvalidRequest(
        f"The picture's parameters hold {key}: {text[:60]!r}, which is not a value for it.",
        "Correct it in the text, or leave that pair out.",
    )
