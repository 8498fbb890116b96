"""A redrawn part joined to its surroundings without a step in colour.

Pixels that passed through an autoencoder come back a little off, so that the edge of what is pasted shows.  How far off
they are is known just outside the edge, where the picture did not change; inside it is spread as a membrane, the
solution of Laplace's equation, as in P. Pérez et al., "Poisson Image Editing" (2003).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]

LIMIT = 48.0
"""Levels of 255: what differs more is another content, not an autoencoder's error, and is not spread that far."""

SWEEPS = 24
"""Relaxations a level; each level starts from the coarser one's solution."""


def joined(drawn: Image.Image, original: Image.Image, share: Image.Image) -> Image.Image:
    """``drawn`` with its colours shifted wherever ``share`` ("L") is above 0 so that they meet ``original``'s there.

    All of one size.  Unchanged where there is no edge.
    """
    inside = np.asarray(share) > 0
    if inside.all() or not inside.any():
        return drawn
    y, x = _frame(inside)
    new = np.array(drawn.convert("RGB"), dtype=np.float32)
    off = np.clip(np.asarray(original.convert("RGB"), dtype=np.float32)[y, x] - new[y, x], -LIMIT, LIMIT)
    hole = inside[y, x]
    new[y, x][hole] += membrane(off, ~hole)[hole]
    return Image.fromarray(np.clip(new.round(), 0, 255).astype(np.uint8))


def _frame(inside: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest part of the picture that holds the inside and a pixel around it."""
    spans = []
    for axis in (1, 0):
        at = np.flatnonzero(inside.any(axis=axis))
        spans.append(slice(max(int(at[0]) - 1, 0), int(at[-1]) + 2))
    return spans[0], spans[1]


def membrane(values: Array, known: NDArray[np.bool_]) -> Array:
    """values (H, W, C), kept where ``known`` (H, W); elsewhere the harmonic function that meets them.

    At the frame's own border it is level.  Nothing known gives zeros.
    """
    if not known.any():
        return np.zeros_like(values)
    if known.all():
        return values
    coarse, weight = _halved(values, known)
    guess = membrane(coarse, weight > 0)
    filled = np.where(
        known[..., None], values, np.repeat(np.repeat(guess, 2, 0), 2, 1)[: len(values), : values.shape[1]]
    )
    free = ~known[..., None]
    for _ in range(SWEEPS):
        filled = np.where(free, _neighbours(filled), filled)
    return filled


def _halved(values: Array, known: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Means of the known ones of every 2 x 2 pixels, and how many they were."""
    high, wide = (side % 2 for side in known.shape)
    weight = np.pad(known.astype(np.float32), ((0, high), (0, wide)))
    total = np.pad(values * known[..., None], ((0, high), (0, wide), (0, 0)))
    count = _summed(weight[..., None])
    return (_summed(total) / np.maximum(count, 1)).astype(np.float32), count[..., 0]


def _summed(values: Array) -> Array:
    height, width, channels = values.shape
    summed: Array = values.reshape(height // 2, 2, width // 2, 2, channels).sum((1, 3))
    return summed


def _neighbours(values: Array) -> Array:
    """The mean of each pixel's four neighbours; at the border a pixel stands in for the missing one."""
    around = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
    mean: Array = (around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]) * np.float32(0.25)
    return mean
