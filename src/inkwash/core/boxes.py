"""Where the tiles of a picture lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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
