"""Giving one picture the colours of another: A1111's "colour correction" of picture to picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_Floats = NDArray[np.float64]

# sRGB (IEC 61966-2-1) to CIE XYZ, D65; CIELAB's white.
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _XYZ.sum(axis=1)
_KNEE = (6 / 29) ** 3


def match_colours(image: Image.Image, model: Image.Image) -> Image.Image:
    """``image`` with ``model``'s distribution of each CIELAB channel, but its own lightness."""
    own, wanted = to_lab(np.asarray(image.convert("RGB"))), to_lab(np.asarray(model.convert("RGB")))
    for channel in (1, 2):  # the lightness stays the picture's own
        own[..., channel] = match_histogram(own[..., channel], wanted[..., channel])
    return Image.fromarray(from_lab(own))


def match_histogram(values: _Floats, model: _Floats) -> _Floats:
    """``values`` moved so that they are distributed as ``model``'s: equal ranks, interpolated."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    wanted, wanted_counts = np.unique(model, return_counts=True)
    ranks, wanted_ranks = np.cumsum(counts) / values.size, np.cumsum(wanted_counts) / model.size
    matched: _Floats = np.interp(ranks, wanted_ranks, wanted)[place].reshape(values.shape)
    return matched


def to_lab(rgb: NDArray[np.uint8]) -> _Floats:
    """(..., 3) 8-bit sRGB -> CIELAB: L 0..100, a, b."""
    scaled = rgb / 255.0
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _XYZ.T / _WHITE
    f = np.where(ratio > _KNEE, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def from_lab(lab: _Floats) -> NDArray[np.uint8]:
    """The inverse of ``to_lab``, rounded to 8 bits."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    ratio = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    linear = (ratio * _WHITE) @ np.linalg.inv(_XYZ).T
    linear = linear.clip(0, 1)
    scaled = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    rounded: NDArray[np.uint8] = (scaled * 255).round().clip(0, 255).astype(np.uint8)
    return rounded
