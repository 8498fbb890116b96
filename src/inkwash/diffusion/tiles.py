"""How much each tile of a picture counts at every place."""

from __future__ import annotations

from collections.abc import Sequence

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


def ramps(boxes: Sequence[Box], blind: float = BLIND) -> list[Tensor]:
    """Weights that fade linearly from tile to tile over what they share but its ``blind`` ends: (height, width) each.

    boxes: a ``grid``.  At the picture's own border nothing fades.
    """
    tops, lefts = sorted({box.top for box in boxes}), sorted({box.left for box in boxes})
    return [
        _ramp(box.top, box.height, tops, blind)[:, None] * _ramp(box.left, box.width, lefts, blind) for box in boxes
    ]


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
