"""Masked content "fill": the colours around a mask flow into it, so that what is drawn there starts from no shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RADII = (256, 64, 16, 4)  # pixels; each finer blur overrules the coarser ones where it has something to say

_Floats = NDArray[np.floating]


def fill(image: Image.Image, mask: Image.Image) -> Image.Image:
    """image: RGB.  mask: of its size, 255 where the picture is to be filled.  What is not masked stays as it is.

    Each radius gives a Gaussian average of the unmasked neighbours, laid over the coarser one with their density.
    """
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    known = np.float32(1) - np.asarray(mask, dtype=np.float32)[..., None] / np.float32(255)
    if not known.any():
        return image.convert("RGB")
    filled = np.broadcast_to((pixels * known).sum((0, 1)) / known.sum((0, 1)), pixels.shape)
    for radius in RADII:
        density = _blurred(known, radius)
        average = _blurred(pixels * known, radius) / np.maximum(density, 1e-6)
        filled = filled + (average - filled) * np.clip(density * 2, 0, 1)
    return Image.fromarray((filled + (pixels - filled) * known).round().clip(0, 255).astype(np.uint8))


def _blurred(pixels: _Floats, radius: float) -> _Floats:
    from scipy.ndimage import gaussian_filter  # 0.2 s to import, for this one kind of masked content

    blurred: _Floats = gaussian_filter(pixels, sigma=(radius, radius, 0), mode="constant", truncate=2.0)
    return blurred
