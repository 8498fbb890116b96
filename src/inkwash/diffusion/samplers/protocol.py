"""What every sampler speaks: it asks for a prediction at (x, sigma) and gives back x at the last sigma.

x is one picture's latents in variance-exploding form x0 + sigma eps, any shape.  Numbers such as sigma are Python
floats (float64) inside the samplers; x keeps its dtype and device.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

import torch
from torch import Tensor

from inkwash.diffusion.noise import Noise
from inkwash.diffusion.prediction import Prediction

__all__ = ["Noise", "Steps", "floats", "level", "renoised"]

Steps = Generator[tuple[Tensor, Tensor], Prediction, Tensor]


def level(sigma: float) -> Tensor:
    """A sigma as the driver and the noise see it: 0-d, float64, on the CPU."""
    return torch.tensor(sigma, dtype=torch.float64)


def floats(sigmas: Iterable[Tensor]) -> list[float]:
    """A schedule as Python floats."""
    return [float(sigma) for sigma in sigmas]


def renoised(x: Tensor, sigma: float, sigma_next: float, amount: float, noise: Noise) -> Tensor:
    """x with ``amount`` of the noise between the two sigmas added; nothing is drawn when there is nothing to add."""
    return x + noise(level(sigma), level(sigma_next)).to(x.dtype) * amount if amount > 0 else x
