"""Where the tiles of a picture lie, and how much each counts at every place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

VARIANCE = 0.01
"""Of a Mixture of Diffusers tile's Gaussian, in squares of the tile's side: its edge lies at five deviations."""


@dataclass(frozen=True)
class Box:
    """A rectangle of a grid of (h, w) places."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def right(self) -> int:
        return self.left + self.width

    @cached_property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns, to index with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def of(self, whole: Tensor) -> Tensor:
        """What of (..., h, w) lies in the box, (..., height, width), contiguous."""
        return whole[(..., *self.place)].contiguous()

    def times(self, factor: int) -> Box:
        """The same rectangle on a grid that is ``factor`` times as fine."""
        return Box(self.top * factor, self.left * factor, self.height * factor, self.width * factor)


def grid(size: tuple[int, int], tile: tuple[int, int], overlap: int) -> list[Box]:
    """Boxes of equal size, (h, w) ``tile``, that cover (h, w) ``size``, spread evenly, row by row.

    Neighbours overlap by ``overlap`` or more.  A tile larger than the picture is cut to it; an overlap that leaves
    no room for a step is lowered to the tile's side less one.
    """
    high, wide = min(tile[0], size[0]), min(tile[1], size[1])
    return [
        Box(top, left, high, wide) for top in starts(size[0], high, overlap) for left in starts(size[1], wide, overlap)
    ]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles of that length begin on one side."""
    step = tile - min(overlap, tile - 1)
    count = math.ceil((length - tile) / step) + 1
    return [index * (length - tile) // max(count - 1, 1) for index in range(count)]


def gaussian(height: int, width: int) -> Tensor:
    """A tile's weights in Mixture of Diffusers (arXiv:2302.02412), up to a factor: (height, width) float32."""

    def side(length: int) -> Tensor:
        x = torch.arange(length, dtype=torch.float64) - (length - 1) / 2
        return (-((x / length) ** 2) / (2 * VARIANCE)).exp()

    return (side(height)[:, None] * side(width)).float()


def feather(height: int, width: int, ratio: float) -> Tensor:
    """Rises from almost 0 at the edge to 1 within ``ratio`` of half the shorter side; (height, width) float32."""
    radius = max(min(height, width) / 2 * ratio, 1e-6)

    def side(length: int) -> Tensor:
        x = torch.arange(length, dtype=torch.float32) + 0.5
        return torch.minimum(x, length - x)

    distance = torch.minimum(side(height)[:, None], side(width))
    return (distance / radius).clamp(max=1.0) ** 2


def ramps(boxes: Sequence[Box], size: tuple[int, int]) -> list[Tensor]:
    """Weights that fade linearly from tile to tile over exactly what they share: (height, width) each, above 0.

    boxes: a ``grid``.  At the picture's own border nothing fades.
    """
    tops, lefts = sorted({box.top for box in boxes}), sorted({box.left for box in boxes})
    return [
        _ramp(box.top, box.height, tops, size[0])[:, None] * _ramp(box.left, box.width, lefts, size[1]) for box in boxes
    ]


def _ramp(start: int, length: int, all_starts: Sequence[int], whole: int) -> Tensor:
    """One side of a tile: up over what it shares with the tile before, down over what it shares with the next."""
    x, index = torch.arange(length, dtype=torch.float32) + 0.5, all_starts.index(start)
    up = down = torch.ones(length)
    if index > 0:
        up = (x / (all_starts[index - 1] + length - start)).clamp(max=1.0)
    if index + 1 < len(all_starts):
        down = ((length - x) / (start + length - all_starts[index + 1])).clamp(max=1.0)
    return torch.minimum(up, down)


def shares(boxes: Sequence[Box], weights: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
    """Weights of boxes divided by their sum at each place, so that the shares add up to 1 wherever a box lies."""
    total = torch.zeros(size)
    for box, weight in zip(boxes, weights, strict=True):
        total[box.place] += weight
    return [weight / total[box.place] for box, weight in zip(boxes, weights, strict=True)]
