"""A picture through a network in overlapping tiles that fade into each other: the tile's memory, not the picture's."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Window:
    """One tile's place along an axis.  weights: (length * scale,), over all windows of the axis they sum to 1."""

    start: int
    length: int
    weights: Tensor


def windows(size: int, tile: int, overlap: int, scale: int) -> list[Window]:
    """Tiles of ``tile`` pixels that cover ``size``, each over its neighbour by ``overlap`` at least.

    Over the overlap the weight falls in a straight line from 1 to 0, but for its outer quarters: what lies next to a
    tile's border, where the network sees least, does not count.
    """
    length = min(tile, size)
    starts = [*range(0, max(size - tile, 0), tile - overlap), max(size - tile, 0)]
    ramps = [_ramp(start, length, size, overlap, scale) for start in starts]
    total = torch.zeros(size * scale)
    for start, ramp in zip(starts, ramps, strict=True):
        total[start * scale : (start + length) * scale] += ramp
    shares = [ramp / total[s * scale : (s + length) * scale] for s, ramp in zip(starts, ramps, strict=True)]
    return [Window(start, length, share) for start, share in zip(starts, shares, strict=True)]


def _ramp(start: int, length: int, size: int, overlap: int, scale: int) -> Tensor:
    """1 in the middle, falling towards each neighbour."""
    place = torch.arange(length * scale) + 0.5
    inside = torch.full((length * scale,), float(overlap * scale))
    if start > 0:
        inside = torch.minimum(inside, place)
    if start + length < size:
        inside = torch.minimum(inside, length * scale - place)
    return (2 * inside / (overlap * scale) - 0.5).clamp(0, 1)


def tiled(
    picture: Pixels, scale: int, tile: int, overlap: int, network: Callable[[Pixels], Tensor]
) -> Generator[float, None, Pixels]:
    """picture: (H, W, 3).  Returns it (H scale, W scale, 3); yields the share that is done after each tile.

    network: (h, w, 3) -> (3, h scale, w scale) float32 on the CPU, in 0..1.  Finished rows are rounded to 8 bits at
    once: what is held in float32 is one row of tiles.
    """
    height, width = picture.shape[:2]
    rows, columns = windows(height, tile, overlap, scale), windows(width, tile, overlap, scale)
    large = np.empty((height * scale, width * scale, 3), np.uint8)
    band = torch.zeros(3, rows[0].length * scale, width * scale)
    for number, row in enumerate(rows):
        for place, column in enumerate(columns):
            cut = picture[row.start : row.start + row.length, column.start : column.start + column.length]
            made = network(cut) * row.weights[:, None] * column.weights
            band[:, :, column.start * scale : (column.start + column.length) * scale] += made
            yield (number * len(columns) + place + 1) / (len(rows) * len(columns))
        following = rows[number + 1].start if number + 1 < len(rows) else height
        done = (following - row.start) * scale
        large[row.start * scale : following * scale] = _rounded(band[:, :done])
        band = torch.cat([band[:, done:], band.new_zeros(3, done, band.shape[2])], dim=1)
    return large


def _rounded(pixels: Tensor) -> Pixels:
    """(3, h, w) in 0..1 -> (h, w, 3) 8-bit, rounded to the nearest level."""
    levels: Pixels = (pixels * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    return levels
