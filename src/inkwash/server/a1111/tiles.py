"""The script "SD upscale" and the extension "Tiled Diffusion" with their customary arguments, as request fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inkwash.checkpoint.catalog import Catalog
from inkwash.core.choices import PICTURE_UPSCALERS
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import NoiseInversion, Region, SDUpscale, TiledDiffusion
from inkwash.server.a1111.schema import Drawing, Img2Img

UPSCALE, TILED = "sd upscale", "tiled diffusion"  # names of scripts, in small letters

# The extension's arguments in order, with its defaults; ten values for each region follow.
ARGUMENTS: dict[str, Any] = {
    "enabled": False, "method": "MultiDiffusion", "overwrite_size": False, "keep_input_size": True,
    "image_width": 1024, "image_height": 1024, "tile_width": 96, "tile_height": 96, "overlap": 48,
    "tile_batch_size": 4, "upscaler_name": "None", "scale_factor": 2.0, "noise_inverse": False,
    "noise_inverse_steps": 10, "noise_inverse_retouch": 1.0, "noise_inverse_renoise_strength": 1.0,
    "noise_inverse_renoise_kernel": 64, "control_tensor_cpu": False, "enable_bbox_control": False,
    "draw_background": False, "causal_layers": False,
}  # fmt: skip
REGION: dict[str, Any] = {
    "enable": False, "x": 0.4, "y": 0.4, "w": 0.2, "h": 0.2, "prompt": "", "neg_prompt": "", "blend_mode": "Background",
    "feather_ratio": 0.2, "seed": -1,
}  # fmt: skip
RENAMED = {"batch_size": "tile_batch_size", "upscaler": "upscaler_name", "overwrite_image_size": "overwrite_size"}


def upscalers(catalog: Catalog) -> list[str]:
    """All there are, in the order that indexes count."""
    return ["None", *PICTURE_UPSCALERS, *(entry.name for entry in catalog.entries("upscaler"))]


def fields(body: Drawing, upscalers: Sequence[str]) -> dict[str, Any]:
    """What Tiled Diffusion asks for.  Raises InvalidRequest."""
    return _tiled(body, script(body, TILED), upscalers)


def script(body: Drawing, name: str) -> Sequence[Any]:
    """The arguments of an always-on script; none if it was not sent."""
    found = next((value for key, value in body.alwayson_scripts.items() if key.casefold() == name), None)
    args = found.get("args") if isinstance(found, Mapping) else None
    return args if isinstance(args, list) else []


def enabled(args: Sequence[Any]) -> bool:
    first = args[0] if args else False
    return _switch("enabled", first.get("enabled", False) if isinstance(first, Mapping) else first)


def _tiled(body: Drawing, args: Sequence[Any], upscalers: Sequence[str]) -> dict[str, Any]:
    if not enabled(args):
        return {}
    given = _named(args)
    upscaler = _upscaler(given["upscaler_name"], upscalers) if isinstance(body, Img2Img) else None
    scale = _number("scale_factor", given["scale_factor"])
    sides = [_whole(name, given[name]) for name in ("tile_width", "tile_height")]
    tiled = TiledDiffusion(
        method=_text("method", given["method"]),
        tile_width=sides[0],
        tile_height=sides[1],
        overlap=max(0, min(_whole("overlap", given["overlap"]), min(sides) - 4)),  # as the extension lowers it
        tile_batch=_whole("tile_batch_size", given["tile_batch_size"]),
        upscaler=upscaler,
        scale=scale if upscaler else 2.0,
        regions=_regions(given) if _switch("enable_bbox_control", given["enable_bbox_control"]) else (),
        draw_background=_background(given),
    )
    inverting = isinstance(body, Img2Img) and _switch("noise_inverse", given["noise_inverse"])
    return {"tiled": tiled, "noise_inversion": _inversion(given) if inverting else None} | _size(body, given, upscaler)


def _named(args: Sequence[Any]) -> dict[str, Any]:
    """The arguments by name, however they were sent: in order, or as one object; null is the default."""
    if isinstance(args[0], Mapping):
        told = {RENAMED.get(str(name), str(name)): value for name, value in args[0].items()}
        rest = told.pop("bbox_control_states", None) or []
    else:
        told, rest = dict(zip(ARGUMENTS, args, strict=False)), args[len(ARGUMENTS) :]
    return ARGUMENTS | {name: value for name, value in told.items() if value is not None} | {"regions": rest}


def _background(given: Mapping[str, Any]) -> bool:
    drawn, controlled = (_switch(name, given[name]) for name in ("draw_background", "enable_bbox_control"))
    return drawn or not controlled


def _regions(given: Mapping[str, Any]) -> tuple[Region, ...]:
    """Ten values a region in a row, or an object each."""
    states = given["regions"]
    if isinstance(states, Mapping):
        states = list(states.values())
    if states and all(isinstance(state, Mapping) for state in states):
        told = [REGION | {name: value for name, value in state.items() if value is not None} for state in states]
    else:
        rows = [states[first : first + len(REGION)] for first in range(0, len(states), len(REGION))]
        told = [REGION | {n: v for n, v in zip(REGION, row, strict=False) if v is not None} for row in rows]
    return tuple(_region(one) for one in told if _switch("enable", one["enable"]))


def _region(told: Mapping[str, Any]) -> Region:
    return Region(
        **{name: _number(name, told[name]) for name in ("x", "y", "w", "h", "feather_ratio")},
        prompt=_text("prompt", told["prompt"]),
        negative_prompt=_text("neg_prompt", told["neg_prompt"]),
        blend=_text("blend_mode", told["blend_mode"]),
        seed=_whole("seed", told["seed"]),
    )


def _inversion(given: Mapping[str, Any]) -> NoiseInversion:
    return NoiseInversion(
        steps=_whole("noise_inverse_steps", given["noise_inverse_steps"]),
        retouch=_number("noise_inverse_retouch", given["noise_inverse_retouch"]),
        renoise_strength=_number("noise_inverse_renoise_strength", given["noise_inverse_renoise_strength"]),
        renoise_kernel=_whole("noise_inverse_renoise_kernel", given["noise_inverse_renoise_kernel"]),
    )


def _size(body: Drawing, given: Mapping[str, Any], upscaler: str | None) -> dict[str, Any]:
    """The picture's size where the extension decides it: its own in txt2img, the source's or the scaled in img2img."""
    if not isinstance(body, Img2Img):
        if not _switch("overwrite_size", given["overwrite_size"]):
            return {}
        return {side: _whole(f"image_{side}", given[f"image_{side}"]) for side in ("width", "height")}
    if _switch("keep_input_size", given["keep_input_size"]):
        return {"width": None, "height": None}
    scale = _number("scale_factor", given["scale_factor"]) if upscaler else 1.0
    return {"width": int(body.width * scale) // 8 * 8, "height": int(body.height * scale) // 8 * 8}


def upscale(args: Sequence[Any], upscalers: Sequence[str]) -> SDUpscale:
    """(text of the form, overlap, index or name of an upscaler, scale)."""
    _, overlap, upscaler, scale = (*args, None, None, None, None)[:4]
    plain = SDUpscale()
    return SDUpscale(
        upscaler=_upscaler(upscaler, upscalers) or plain.upscaler,
        overlap=plain.overlap if overlap is None else _whole("overlap", overlap),
        scale=plain.scale if scale is None else _number("scale_factor", scale),
    )


def _upscaler(chosen: object, known: Sequence[str]) -> str | None:
    """A name, or its place in the list; None for "None"."""
    if isinstance(chosen, int | float) and not isinstance(chosen, bool):
        index = _whole("upscaler", chosen)
        if not 0 <= index < len(known):
            raise _wrong("upscaler", chosen, f"0 to {len(known) - 1}, or a name")
        chosen = known[index]
    if chosen is None or (isinstance(chosen, str) and chosen.casefold() in ("", "none")):
        return None
    if not isinstance(chosen, str):
        raise _wrong("upscaler", chosen, "a name")
    return chosen


def _switch(name: str, value: object) -> bool:
    """Some clients send "True" in quotes."""
    if isinstance(value, str) and value.casefold() in ("true", "false"):
        return value.casefold() == "true"
    if not isinstance(value, bool | None):
        raise _wrong(name, value, "true or false")
    return bool(value)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, value, "a number")
    return float(value)


def _whole(name: str, value: object) -> int:
    number = _number(name, value)
    if not number.is_integer():
        raise _wrong(name, value, "a whole number")
    return int(number)


def _text(name: str, value: object) -> Any:
    if not isinstance(value, str):
        raise _wrong(name, value, "text")
    return value


def _wrong(name: str, value: object, wanted: str) -> InvalidRequest:
    return InvalidRequest(f"{name} is {str(value)[:60]!r}; it must be {wanted}.", "Correct it.", "alwayson_scripts")
