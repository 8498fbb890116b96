"""SD upscale: an enlarged picture redrawn tile by tile, each a picture of its own, and put together again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from inkwash.core.boxes import Box, grid
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest, SDUpscale
from inkwash.core.resizing import Size, scaled
from inkwash.diffusion.tiles import ramps
from inkwash.generation.canvas import drawing_size
from inkwash.generation.run import Decode, Run
from inkwash.generation.structure import RADIUS, held, low_pass
from inkwash.generation.tiled import MOST
from inkwash.models.stable_diffusion import StableDiffusion

FINE = 3.0
"""Pixels, the standard deviation of a low pass: waves shorter than 16 are fine detail, which fades quickly.

Every band over about its own wavelength: P. Burt and E. Adelson, "A Multiresolution Spline" (1983).
"""

FINE_BLIND = 3 / 8
"""``BLIND`` of fine detail."""


@dataclass(frozen=True)
class Mosaic:
    """size: pixels of the whole.  boxes: of the tiles, in latent pixels of ``factor`` pixels each."""

    size: Size
    boxes: tuple[Box, ...]
    factor: int

    @property
    def tile(self) -> Size:
        """Pixels of one tile."""
        first = self.boxes[0].times(self.factor)
        return first.width, first.height


def mosaic_of(request: GenerateRequest, upscale: SDUpscale, factor: int) -> Mosaic:
    """request: settled; its size is a tile's.  Raises InvalidRequest for too many tiles."""
    assert request.init_image is not None
    size, (wide, high) = scaled(request.init_image.size, upscale.scale), drawing_size(request)
    if upscale.overlap >= min(wide, high) and (size[0] > wide or size[1] > high):
        raise InvalidRequest(
            f"Tiles of {wide}x{high} pixels cannot share {upscale.overlap}.",
            f"Try an overlap of {min(wide, high) // 4}, or larger tiles (width, height).",
            "sd_upscale.overlap",
        )
    boxes = grid(
        (size[1] // factor, size[0] // factor), (high // factor, wide // factor), -(-upscale.overlap // factor)
    )
    if len(boxes) > MOST:
        raise InvalidRequest(
            f"{size[0]}x{size[1]} pixels are {len(boxes)} tiles of {wide}x{high} that share {upscale.overlap}.",
            f"Take larger tiles, less overlap or a smaller scale: at most {MOST} are drawn.",
            "sd_upscale.overlap",
        )
    return Mosaic(size, tuple(boxes), factor)


def tile_by_tile(
    model: StableDiffusion,
    mosaic: Mosaic,
    large: Image.Image,
    one: Callable[[int, Image.Image], Run[Tensor]],
    keep_structure: float,
) -> Run[tuple[Tensor, Tensor]]:
    """Latents (4, h, w) and picture (3, H, W) of the whole, on the CPU.  one: draws a tile, by number, over pixels.

    Both fade from tile to tile over what they share, as ``ramps`` does; of the picture its fine detail (``FINE``) only
    in the middle: the mean of two drawings is softer than either.  keep_structure: 0..1, of each tile's colours.
    """
    size, factor = mosaic.size, mosaic.factor
    pixels = [box.times(factor) for box in mosaic.boxes]
    grids = (size[1] // factor, size[0] // factor), (size[1], size[0])
    latents, picture = torch.zeros(model.spec.vae.latent_channels, *grids[0]), torch.zeros(3, *grids[1])
    cells, wide, narrow = ramps(mosaic.boxes), ramps(pixels), ramps(pixels, FINE_BLIND)
    for number, (box, place) in enumerate(zip(mosaic.boxes, pixels, strict=True)):
        part = large.crop((place.left, place.top, place.right, place.bottom))
        drawn = yield from one(number, part)
        decoded: Tensor = yield Decode(model, drawn)
        if keep_structure:
            decoded = held(decoded, part, keep_structure, RADIUS * factor)
        broad = low_pass(decoded, FINE)
        latents[(..., *box.place)] += cells[number].over(drawn.cpu())
        picture[(..., *place.place)] += wide[number].over(broad) + narrow[number].over(decoded - broad)
    return latents, picture.clamp(0, 1)
