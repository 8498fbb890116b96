"""One step from small to large: which road a picture takes to a size, decided and told before anything is drawn."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from inkwash.checkpoint.spec import ModelSpec
from inkwash.core.choices import PICTURE_UPSCALERS
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest, NoiseInversion, SDUpscale, TiledDiffusion, TileMethod
from inkwash.core.resizing import Size, scaled
from inkwash.diffusion.tiles import grid
from inkwash.runtime.memory import working_memory

AT_ONCE = 4.0
"""Times a picture grows in one pass: what is enlarged more has too little left to redraw from."""

PLAIN = ("Lanczos", "Nearest")
"""Upscalers that add nothing; any other that is installed is preferred."""

KERNEL = NoiseInversion().renoise_kernel
"""Pixels in which details are looked for, in smaller tiles a quarter of one."""

MIXTURE, SD_UPSCALE = "Mixture of Diffusers", "SD upscale"
ROADS = (MIXTURE, "MultiDiffusion", SD_UPSCALE)


@dataclass(frozen=True)
class Target:
    """to: pixels of the longer side; or scale: times the picture's size.  overlap, tile: pixels, None: by the model."""

    to: int | None = None
    scale: float | None = None
    upscaler: str | None = None  # None: the best there is
    road: str | None = None  # one of ROADS; None: the first whose pictures fit into memory
    tile: int | None = None
    overlap: int | None = None
    noise_inversion: bool = True  # even parts of the picture stay even


@dataclass(frozen=True, eq=False)
class Pass:
    """One enlarging and redrawing.  request: without its picture.  memory: bytes beside the weights, by estimate."""

    request: GenerateRequest
    size: Size
    road: str
    upscaler: str
    tiles: int
    memory: int

    def over(self, picture: Image.Image) -> GenerateRequest:
        return dataclasses.replace(self.request, init_image=picture)

    def told(self) -> str:
        """The pass in words."""
        tiles = "in one piece" if self.tiles == 1 else f"in {self.tiles} tiles by {self.road}"
        strength = f"redrawn {tiles} at strength {self.request.denoising_strength:g}"
        return (
            f"{self.size[0]}x{self.size[1]}: enlarged by {self.upscaler}, {strength}, about {self.memory / 1e9:.1f} GB"
        )


def plan_enlarging(
    base: GenerateRequest, size: Size, target: Target, spec: ModelSpec, dtype: torch.dtype, free: int
) -> list[Pass]:
    """The passes that bring a picture of that size to the target.

    base: what is to be drawn with, without pictures and tiles.  free: bytes that may be taken.  Raises InvalidRequest.
    """
    total = _total(size, target)
    upscaler = target.upscaler or best_upscaler(PICTURE_UPSCALERS)
    count = max(1, math.ceil(math.log(total, AT_ONCE) - 1e-9))
    passes = []
    for left in range(count, 0, -1):
        scale = (_total(size, target) if target.to else total) ** (1 / left)
        total /= scale
        one = _pass(base, size, scale, upscaler, target, spec, dtype, free)
        passes.append(one)
        size = one.size
    return passes


def best_upscaler(installed: Sequence[str]) -> str:
    """The first that was trained for it, else Lanczos."""
    return next((name for name in installed if name not in PLAIN), PLAIN[0])


def _total(size: Size, target: Target) -> float:
    total = target.to / max(size) if target.to else target.scale or 2.0
    if total <= 1:
        told = (
            f"{size[0]}x{size[1]} pixels; that is not less than {target.to}" if target.to else f"to be {total:g} times"
        )
        raise InvalidRequest(f"The picture is {told}.", "Give --to a longer side, or --scale more than 1.")
    return total


def _pass(
    base: GenerateRequest,
    size: Size,
    scale: float,
    upscaler: str,
    target: Target,
    spec: ModelSpec,
    dtype: torch.dtype,
    free: int,
) -> Pass:
    large, tile, overlap = scaled(size, scale), *_tile(target, spec)
    if target.noise_inversion:
        base = dataclasses.replace(base, noise_inversion=NoiseInversion(renoise_kernel=min(KERNEL, tile // 4)))
    factor = 2 ** (len(spec.vae.channels) - 1)
    tiles = grid((large[1] // factor, large[0] // factor), (tile // factor, tile // factor), -(-overlap // factor))
    one = tiles[0].width * factor, tiles[0].height * factor
    widths = spec.unet.channels[0], spec.vae.channels[0]
    needs = {road: _memory(one if road == SD_UPSCALE else large, one, dtype, widths) for road in ROADS}
    road = target.road or (MIXTURE if needs[MIXTURE] <= free else SD_UPSCALE)
    if road == SD_UPSCALE:
        plan = SDUpscale(upscaler=upscaler, scale=scale, overlap=overlap)
        request = dataclasses.replace(base, width=tile, height=tile, sd_upscale=plan)
    else:
        method: TileMethod = "MultiDiffusion" if road == "MultiDiffusion" else "Mixture of Diffusers"
        cells = tile // factor
        tiled = TiledDiffusion(
            method=method,
            tile_width=cells,
            tile_height=cells,
            overlap=-(-overlap // factor),
            upscaler=upscaler,
            scale=scale,
        )
        request = dataclasses.replace(base, width=None, height=None, tiled=tiled)
    return Pass(request, large, road, upscaler, len(tiles), needs[road])


def _tile(target: Target, spec: ModelSpec) -> tuple[int, int]:
    """Pixels of a tile and of what neighbours share: the size the model was made for, and a quarter of it."""
    tile = (target.tile or spec.native_size) // 8 * 8
    overlap = tile // 4 if target.overlap is None else target.overlap
    if not 64 <= tile <= 8192 or not 0 <= overlap < tile:
        raise InvalidRequest(
            f"Tiles of {tile} pixels cannot share {overlap}.", "Try --tile 512 --overlap 128; a tile has 64 or more."
        )
    return tile, overlap


def _memory(decoded: Size, tile: Size, dtype: torch.dtype, widths: tuple[int, int]) -> int:
    return max(working_memory(*decoded, 0, dtype, *widths), working_memory(*tile, 2, dtype, *widths))
