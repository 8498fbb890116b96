"""Networks that restore one face: GFPGAN, RestoreFormer, and CodeFormer where its package is installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inkwash.checkpoint.files import read
from inkwash.core.errors import UnsupportedModel
from inkwash.imaging.architectures import network_of
from inkwash.imaging.learned import dtype_for
from inkwash.runtime.device import Compute

CODEFORMER = "CodeFormer"

RUNS: dict[str, Callable[[Any, Tensor, float], Tensor]] = {
    # The noise that the file holds; left alone it draws other noise each time, and no picture would come back.
    "GFPGAN": lambda model, face, weight: model(face, return_rgb=False, randomize_noise=False)[0],
    "RestoreFormer": lambda model, face, weight: model(face)[0],
    CODEFORMER: lambda model, face, weight: model(face, weight=weight)[0],
}
"""By architecture: the module, faces (B, 3, 512, 512) in -1..1, and CodeFormer's weight -> the faces restored."""


@dataclass(frozen=True, eq=False)
class FaceRestorer:
    """network: spandrel's description of it, with the module inside."""

    name: str
    network: Any

    @property
    def architecture(self) -> str:
        return str(self.network.architecture.name)

    @property
    def nbytes(self) -> int:
        return sum(weight.nbytes for weight in self.network.model.parameters())

    @torch.inference_mode()
    def __call__(self, face: Image.Image, weight: float = 0.5) -> Image.Image:
        """face: RGB, 512 x 512, upright.  weight: 0 restores most .. 1 stays closest; CodeFormer's alone."""
        first = next(self.network.model.parameters())
        pixels = torch.from_numpy(np.array(face)).permute(2, 0, 1)[None] / 127.5 - 1
        restored = RUNS[self.architecture](self.network.model, pixels.to(first.device, first.dtype), weight)
        levels = ((restored[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())


def load_restorer(path: Path, compute: Compute, name: str = "") -> FaceRestorer:
    """The face restorer in a file: safetensors, or a pickle read without trust.

    Raises DamagedFile, UnsupportedModel, ModelNotFound, MissingLibrary.
    """
    network = network_of(read(path), path.name)
    if network.architecture.name not in RUNS:
        message = f"{path.name} ({network.architecture.name}) restores no faces."
        raise UnsupportedModel(message, f"Choose one of {', '.join(RUNS)}; upscalers belong into models/ESRGAN.")
    network.model.to(compute.device, dtype_for(network, compute))
    return FaceRestorer(name or path.stem, network)
