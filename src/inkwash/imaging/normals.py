"""Normal maps: how a surface of given heights is tilted, as colours."""

from __future__ import annotations

import numpy as np
from PIL import Image


def normal_map(heights: Image.Image, strength: float = 8.0, *, green_down: bool = False) -> Image.Image:
    """heights: a depth map or any picture, of which the lightness counts; bright is near.  RGB of the same size.

    The normal of the surface z = strength * lightness (0..1), with x and y in pixels, at unit length, is stored as
    (n + 1) / 2: a level surface is (128, 128, 255).  green_down: DirectX's direction of y instead of OpenGL's.
    """
    grey = heights if heights.mode == "F" else heights.convert("L")  # an estimated depth is finer than 256 levels
    z = np.asarray(grey, dtype=np.float64) / 255 * strength
    padded = np.pad(z, 1, mode="edge")
    dx = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    dy = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2  # rows count downwards
    normals = np.stack([-dx, -dy if green_down else dy, np.ones_like(z)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return Image.fromarray(((normals + 1) / 2 * 255).round().astype(np.uint8))
