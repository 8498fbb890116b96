"""Flags that several commands share: what a drawing is asked for, as ``txt2img`` has it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from inspect import Parameter, Signature, signature
from typing import Any

from inkwash.core import wire
from inkwash.core.choices import EMPHASIS, NOISE_SOURCES, TILE_METHODS, choose
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest, HiresPass, Region, TiledDiffusion, VaeTiles

# Flags that are not called as the field they set.
RENAMED = {"negative": "negative_prompt", "cfg": "cfg_scale"}
REGION = '--region "0 0.5 1 0.5: a lake"'
HIRES = {"strength": "denoising_strength", "negative": "negative_prompt"}


def sharing(
    model: Callable[..., None], only: Sequence[str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose ``**drawing`` stands for the flags of ``model`` (or ``only`` those) that it has not itself."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in signature(command, eval_str=True).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
        names = {parameter.name for parameter in own}
        shared = [p for p in signature(model, eval_str=True).parameters.values() if p.name not in names]
        shared = [p for p in shared if only is None or p.name in only]
        parameters = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in (*own, *shared)]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            command(**values)

        del run.__wrapped__  # Typer would look through it
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def request_of(flags: Mapping[str, Any], **more: Any) -> GenerateRequest:
    """The request that ``txt2img``'s flags describe.  more: fields that no flag of it sets.  Raises InvalidRequest."""
    known = {field.name for field in fields(GenerateRequest)}
    values = {RENAMED.get(name, name): value for name, value in flags.items()}
    values = {name: value for name, value in values.items() if name in known}
    sigmas = flags.get("sigmas")
    values |= {
        "styles": tuple(flags.get("style") or ()),
        "emphasis": choose("emphasis", flags["emphasis"], EMPHASIS),
        "noise_source": choose("noise source", flags["noise_source"], NOISE_SOURCES),
        "sigmas": None if sigmas is None else numbers(sigmas),
        "hires": hires_of(flags),
        "vae_tiles": vae_tiles_of(flags),
        "tiled": tiled_of(flags),
    }
    return GenerateRequest(**(values | more))


def hires_of(flags: Mapping[str, Any]) -> HiresPass | None:
    """--hires, or any flag that says how large: a second pass."""
    given = {name.removeprefix("hires_"): value for name, value in flags.items() if name.startswith("hires_")}
    if not (flags["hires"] or given["scale"] or given["width"] or given["height"]):
        return None
    given["scale"] = given["scale"] or HiresPass().scale
    return HiresPass(**{HIRES.get(name, name): value for name, value in given.items()})


def vae_tiles_of(flags: Mapping[str, Any]) -> VaeTiles | None:
    """One flag says the size for both directions: a latent pixel is 8 pixels of the picture."""
    tile, fast = flags["vae_tile"], flags["vae_fast"]
    if tile is None:
        return None if fast is None else VaeTiles(fast=fast)
    return VaeTiles(encoder_tile=8 * tile, decoder_tile=tile, fast=fast)


def tiled_of(flags: Mapping[str, Any]) -> TiledDiffusion | None:
    """--tiled, a region or an upscaler: tiled diffusion."""
    upscaler = flags.get("tile_upscaler")
    if not (flags["tiled"] or flags["region"] or upscaler):
        return None
    return TiledDiffusion(
        method=choose("tile method", flags["tile_method"], TILE_METHODS),
        tile_width=flags["tile_width"],
        tile_height=flags["tile_height"],
        overlap=flags["tile_overlap"],
        tile_batch=flags["tile_batch"],
        upscaler=upscaler,
        scale=flags.get("tile_scale", TiledDiffusion().scale),
        regions=tuple(region_of(text) for text in flags["region"] or ()),
        draw_background=flags["background"],
    )


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
