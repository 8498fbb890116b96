"""One step from small to large: which road a picture takes to a size, decided and told before anything is drawn."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inkwash.checkpoint.spec import ModelSpec
from inkwash.core import infotext
from inkwash.core.boxes import grid
from inkwash.core.choices import LANCZOS
from inkwash.core.errors import InvalidRequest
from inkwash.core.estimates import TILES, Numbers, autoencoder_memory, banded_memory, unet_memory
from inkwash.core.limits import Limits
from inkwash.core.request import GenerateRequest, NoiseInversion, SDUpscale, TiledDiffusion, TileMethod
from inkwash.core.resizing import Size, scaled
from inkwash.prompt.quality import quality_words

if TYPE_CHECKING:
    from PIL import Image

AT_ONCE = 4.0
"""Times a picture grows in one pass: what is enlarged more has too little left to redraw from."""

KERNEL = NoiseInversion().renoise_kernel
"""Pixels in which details are looked for, in smaller tiles a quarter of one."""

PICTURE = 35
"""Bytes a pixel of the finished picture: 15 in float32 and in 8 bits, 20 while its colours are kept, one by one."""

MIXTURE, SD_UPSCALE = "Mixture of Diffusers", "SD upscale"
ROADS = (MIXTURE, "MultiDiffusion", SD_UPSCALE)

PLAIN = GenerateRequest()
LEFT = (
    "width", "height", "mask_invert", "only_masked", "soft_inpainting", "exact_steps", "hires", "tiled",
    "noise_inversion", "sd_upscale", "tiling", "sigmas", "resize_mode", "subseed_strength", "seed_resize_from_w",
    "seed_resize_from_h", "initial_noise_multiplier", "refiner", "restore_faces", "codeformer_weight",
)  # fmt: skip
"""What a picture was drawn with that does not belong to enlarging it."""


@dataclass(frozen=True)
class Target:
    """to: pixels of the longer side; or scale: times the picture's size.  overlap, tile: pixels, None: by the model."""

    to: int | None = None
    scale: float | None = None
    upscaler: str = LANCZOS
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
        gigabytes = self.memory / 1e9
        memory = f"about {gigabytes:.1f} GB" if gigabytes >= 0.05 else "less than 0.1 GB"
        return f"{self.size[0]}x{self.size[1]}: enlarged by {self.upscaler}, {strength}, {memory}"


def plan_enlarging(
    base: GenerateRequest, size: Size, target: Target, spec: ModelSpec, dtype: Numbers, free: int,
    most: int = Limits().side,
) -> list[Pass]:  # fmt: skip
    """The passes that bring a picture of that size to the target.

    base: what is to be drawn with, without pictures and tiles.  free: bytes that may be taken.  most: pixels of a
    side that may be drawn.  Raises InvalidRequest.
    """
    total = total_scale(size, target)
    check_side(scaled(size, total), most)
    count = max(1, math.ceil(math.log(total, AT_ONCE) - 1e-9))
    passes = []
    for left in range(count, 0, -1):
        scale = (total_scale(size, target) if target.to else total) ** (1 / left)
        total /= scale
        one = _pass(base, size, scale, target, spec, dtype, free)
        passes.append(one)
        size = one.size
    return passes


def request_of(text: str, *, whole_prompt: bool) -> GenerateRequest:
    """What a picture's text says of prompt, model, seed and the like, "" where it has none.

    Of its prompt only what names nothing, unless all of it is wanted: a tile that is told of a cat draws one.
    """
    parsed = infotext.parse(text)
    known = infotext.to_request(parsed) if parsed.parameters else PLAIN
    plain = dataclasses.replace(known, **{name: getattr(PLAIN, name) for name in LEFT})
    return plain if whole_prompt else dataclasses.replace(plain, prompt=quality_words(known.prompt))


def check_side(size: Size, most: int) -> None:
    """Raises InvalidRequest."""
    if max(size) > most:
        large = "x".join(map(str, size))
        message = f"That would be a picture of {large}; at most {most} pixels a side are drawn."
        raise InvalidRequest(message, f"Try {most}, or raise limits.side in the settings.", "to")


def total_scale(size: Size, target: Target) -> float:
    """How many times as large.  Raises InvalidRequest where that is no enlarging."""
    total = target.to / max(size) if target.to else target.scale or 2.0
    if total <= 1:
        told = (
            f"{size[0]}x{size[1]} pixels; that is not less than {target.to}" if target.to else f"to be {total:g} times"
        )
        raise InvalidRequest(f"The picture is {told}.", "Ask for a longer side, or for more than 1 times.", "to")
    return total


def _pass(
    base: GenerateRequest,
    size: Size,
    scale: float,
    target: Target,
    spec: ModelSpec,
    dtype: Numbers,
    free: int,
) -> Pass:
    large, tile, overlap = scaled(size, scale), *_tile(target, spec)
    if target.noise_inversion:
        base = dataclasses.replace(base, noise_inversion=NoiseInversion(renoise_kernel=min(KERNEL, tile // 4)))
    factor = 2 ** (len(spec.vae.channels) - 1)
    tiles = grid((large[1] // factor, large[0] // factor), (tile // factor, tile // factor), -(-overlap // factor))
    one = tiles[0].width * factor, tiles[0].height * factor
    widths = spec.unet.channels[0], spec.vae.channels[0]
    picture = PICTURE * large[0] * large[1]
    needs = {road: picture + _memory(one if road == SD_UPSCALE else large, one, dtype, widths) for road in ROADS}
    road = target.road or (MIXTURE if needs[MIXTURE] <= free else SD_UPSCALE)
    if road == SD_UPSCALE:
        plan = SDUpscale(upscaler=target.upscaler, scale=scale, overlap=overlap)
        request = dataclasses.replace(base, width=tile, height=tile, sd_upscale=plan)
    else:
        method: TileMethod = "MultiDiffusion" if road == "MultiDiffusion" else "Mixture of Diffusers"
        cells = tile // factor
        tiled = TiledDiffusion(
            method=method,
            tile_width=cells,
            tile_height=cells,
            overlap=-(-overlap // factor),
            upscaler=target.upscaler,
            scale=scale,
        )
        request = dataclasses.replace(base, width=None, height=None, tiled=tiled)
    return Pass(request, large, road, target.upscaler, len(tiles), needs[road])


def _tile(target: Target, spec: ModelSpec) -> tuple[int, int]:
    """Pixels of a tile and of what neighbours share: the size the model was made for, and a quarter of it."""
    tile = (target.tile or spec.native_size) // 8 * 8
    overlap = tile // 4 if target.overlap is None else target.overlap
    if not 64 <= tile <= 8192 or not 0 <= overlap < tile:
        raise InvalidRequest(
            f"Tiles of {tile} pixels cannot share {overlap}.",
            "Try 512 and 128; a tile has 64 or more.",
            "tile",
        )
    return tile, overlap


def _memory(decoded: Size, tile: Size, dtype: Numbers, widths: tuple[int, int]) -> int:
    """Bytes beside the weights, at the least: one tile a call, the autoencoder in its smallest bands."""
    whole = autoencoder_memory(decoded[0] * decoded[1], dtype, widths[1])
    return max(
        unet_memory(tile[0] * tile[1], 1, dtype, widths[0]), min(whole, banded_memory(8 * TILES[-1], dtype, widths[1]))
    )
