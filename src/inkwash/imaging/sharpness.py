"""How sharp a picture is, as one number to sort pictures by."""

from __future__ import annotations

import numpy as np
from PIL import Image


def sharpness(image: Image.Image) -> float:
    """The variance of the Laplacian of the lightness (0..255); 0 for a flat picture, a few for a blurred one."""
    grey = np.asarray(image.convert("L"), dtype=np.float64)
    if min(grey.shape) < 3:
        return 0.0
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var())
