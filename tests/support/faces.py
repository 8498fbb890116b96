"""A face, and restorers for it: small ones with random weights, and one whose work is seen at once.

face.jpg: NASA's portrait of the astronaut Eileen Collins, in the public domain, cut out and made small.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from tests.support.upscalers import seeded
from torch import Tensor, nn

from inkwash.imaging.architectures import spandrel
from inkwash.imaging.faces import Face
from inkwash.imaging.restorers import FaceRestorer

LANDMARKS = np.array([(77.0, 81.7), (118.8, 83.7), (96.7, 109.0), (73.7, 119.2), (117.3, 121.9)])
"""Of the portrait, as they were read off it: eyes, nose, corners of the mouth."""


def portrait(side: int = 192) -> Image.Image:
    with Image.open(Path(__file__).with_name("face.jpg")) as image:
        return image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)


def crowd() -> Image.Image:
    """Three faces: a large one, a small one, one that is turned.  The last 100 columns are empty."""
    picture = Image.new("RGB", (640, 320), "gray")
    picture.paste(portrait(300), (0, 10))
    picture.paste(portrait(80), (320, 10))
    picture.paste(portrait(192).rotate(20, Image.Resampling.BICUBIC, fillcolor="gray"), (340, 110))
    return picture


def landscape(width: int = 160, height: int = 120) -> Image.Image:
    """Waves, and no face."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (7 + c)) * np.cos(y / (9 - c)) * 100 + 128 for c in range(3)]
    return Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))


class Negative(nn.Module):
    """Restores nothing: light becomes dark.  seen: the weights it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(-1.0))
        self.seen: list[float | None] = []

    def forward(self, x: Tensor, weight: float | None = None, **others: Any) -> tuple[Tensor, None]:
        self.seen.append(weight)
        return self.scale * x, None


def negative(architecture: str = "GFPGAN", name: str = "negative") -> FaceRestorer:
    return FaceRestorer(name, SimpleNamespace(architecture=SimpleNamespace(name=architecture), model=Negative()))


class Known:
    """Finds the same landmarks in every picture."""

    def __init__(self, *faces: np.ndarray[Any, Any]) -> None:
        self.faces = faces

    def __call__(self, picture: Image.Image) -> list[Face]:
        return [Face((*points.min(0).tolist(), *points.max(0).tolist()), 1.0, points) for points in self.faces]


def restoreformer() -> nn.Module:
    """Of the real structure and few channels; it takes faces of 512 pixels all the same."""
    made = spandrel().architectures.RestoreFormer.RestoreFormer(
        n_embed=16, embed_dim=32, ch=32, ch_mult=(1, 1, 1, 1, 1, 1), num_res_blocks=1, z_channels=32
    )
    return seeded(made)


def gfpgan() -> nn.Module:
    """Likewise; spandrel builds none so narrow from a file."""
    return seeded(spandrel().architectures.GFPGAN.GFPGAN(narrow=1 / 32, num_style_feat=512))
