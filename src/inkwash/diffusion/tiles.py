"""How much each tile of a picture counts at every place."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import torch
from torch import Tensor

from inkwash.core.boxes import Box

VARIANCE = 0.01
"""Of a Mixture of Diffusers tile's Gaussian, in squares of the tile's side: its edge lies at five deviations."""

BLIND = 1 / 8
"""Of what two tiles share, at either end: what a network draws beside a cut, with padding for a neighbour, is off."""


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


class Ramp(NamedTuple):
    """A tile's share at every place, the product of its share at every row, (height, 1), and at every column."""

    rows: Tensor
    columns: Tensor

    def over(self, x: Tensor) -> Tensor:
        """x: (c, height, width)."""
        return x * self.rows * self.columns


def ramps(boxes: Sequence[Box], blind: float = BLIND) -> list[Ramp]:
    """Shares that fade linearly from tile to tile over what they share but its ``blind`` ends, and add up to 1.

    boxes: a ``grid``.  At the picture's own border nothing fades.
    """
    down = _sides({box.top for box in boxes}, boxes[0].height, blind)
    across = _sides({box.left for box in boxes}, boxes[0].width, blind)
    return [Ramp(down[box.top][:, None], across[box.left]) for box in boxes]


def _sides(starts: AbstractSet[int], length: int, blind: float) -> dict[int, Tensor]:
    """For every start the share of a tile of that length, along one side."""
    placed = sorted(starts)
    weights = {start: _ramp(start, length, placed, blind) for start in placed}
    total = torch.zeros(placed[-1] + length)
    for start, weight in weights.items():
        total[start : start + length] += weight
    return {start: weight / total[start : start + length] for start, weight in weights.items()}


def _ramp(start: int, length: int, all_starts: Sequence[int], blind: float) -> Tensor:
    """One side of a tile: up over what it shares with the tile before, down over what it shares with the next."""
    x, index = torch.arange(length, dtype=torch.float32) + 0.5, all_starts.index(start)
    up = down = torch.ones(length)
    if index > 0:
        up = _rise(x / (all_starts[index - 1] + length - start), blind)
    if index + 1 < len(all_starts):
        down = _rise((length - x) / (start + length - all_starts[index + 1]), blind)
    return torch.minimum(up, down)


def _rise(way: Tensor, blind: float) -> Tensor:
    """way: from the cut, 0, to where the other tile ends, 1."""
    return ((way - blind) / (1 - 2 * blind)).clamp(0, 1)


def shares(boxes: Sequence[Box], weights: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
    """Weights of boxes divided by their sum at each place, so that the shares add up to 1 wherever a box lies."""
    total = torch.zeros(size)
    for box, weight in zip(boxes, weights, strict=True):
        total[box.place] += weight
    return [weight / total[box.place] for box, weight in zip(boxes, weights, strict=True)]
