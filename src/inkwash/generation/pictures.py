"""Tensors to pictures people see."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def as_image(picture: Tensor) -> Image.Image:
    """(3, H, W) or (H, W) in 0..1 -> an 8-bit picture, rounded to the nearest level."""
    pixels = (picture * 255).round().to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray((pixels.permute(1, 2, 0) if pixels.ndim == 3 else pixels).numpy()))
