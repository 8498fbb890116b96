"""Pictures brought to another size, in A1111's three ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from inkwash.core.request import ResizeMode

Size = tuple[int, int]


def resize(
    image: Image.Image, size: Size, mode: ResizeMode = "just resize", resample: Image.Resampling | None = None
) -> Image.Image:
    """``image`` at ``size`` (width, height).

    just resize: stretched.  crop and resize: covers the size, what stands over is cut on both sides alike.  resize and
    fill: fits into the size, the outermost pixels are drawn out to fill the rest.  resample None: Lanczos.
    """
    resample = Image.Resampling.LANCZOS if resample is None else resample
    if mode == "crop and resize":
        return _cropped(_scaled(image, _covering(image.size, size), resample), size)
    if mode == "resize and fill":
        return _filled(_scaled(image, _fitting(image.size, size), resample), size)
    return _scaled(image, size, resample)


def _scaled(image: Image.Image, size: Size, resample: Image.Resampling) -> Image.Image:
    return image.copy() if image.size == size else image.resize(size, resample)


def _covering(have: Size, want: Size) -> Size:
    """The smallest size of ``have``'s proportions that hides ``want``."""
    if want[0] * have[1] > want[1] * have[0]:
        return want[0], max(want[1], have[1] * want[0] // have[0])
    return max(want[0], have[0] * want[1] // have[1]), want[1]


def _fitting(have: Size, want: Size) -> Size:
    """The largest size of ``have``'s proportions inside ``want``."""
    if want[0] * have[1] < want[1] * have[0]:
        return want[0], max(1, have[1] * want[0] // have[0])
    return max(1, have[0] * want[1] // have[1]), want[1]


def _cropped(image: Image.Image, size: Size) -> Image.Image:
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return image.crop((left, top, left + size[0], top + size[1]))


def _filled(image: Image.Image, size: Size) -> Image.Image:
    """Centred, with its edge repeated outwards."""
    wide, high = size[0] - image.width, size[1] - image.height
    if not wide and not high:
        return image
    pixels = np.asarray(image)
    margins = [(high // 2, high - high // 2), (wide // 2, wide - wide // 2), (0, 0)]
    return Image.fromarray(np.pad(pixels, margins[: pixels.ndim], mode="edge"))


def whole_eighths(size: Size) -> Size:
    """The size rounded down to multiples of 8, at least 8: what latents can stand for."""
    return max(8, size[0] // 8 * 8), max(8, size[1] // 8 * 8)


def scaled(size: Size, scale: float) -> Size:
    """So many times as large, rounded to whole pixels, then down to multiples of 8."""
    return whole_eighths((round(size[0] * scale), round(size[1] * scale)))
