"""The noise levels a model was trained on, and the way between a level's index t and its sigma.

Variance-preserving (VP) latents are sqrt(a) x0 + sqrt(1 - a) eps with a = ``alphas_cumprod[t]``; divided by sqrt(a)
they are the variance-exploding (VE) form x0 + sigma eps with sigma = sqrt((1 - a) / a), in which the samplers work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """``alphas_cumprod``: (T,) float64, strictly decreasing, in (0, 1); t = 0 is the least noise."""

    alphas_cumprod: Tensor

    @classmethod
    def from_betas(cls, betas: Tensor) -> NoiseSchedule:
        """betas: (T,), the variances added at each step of arXiv:2006.11239."""
        return cls(torch.cumprod(1.0 - betas.to(torch.float64), dim=0))

    @classmethod
    def scaled_linear(cls, start: float = 0.00085, end: float = 0.012, steps: int = 1000) -> NoiseSchedule:
        """Stable Diffusion's: the square roots of the betas are evenly spaced (arXiv:2112.10752)."""
        return cls.from_betas(torch.linspace(math.sqrt(start), math.sqrt(end), steps, dtype=torch.float64) ** 2)

    @classmethod
    def linear(cls, start: float = 0.0001, end: float = 0.02, steps: int = 1000) -> NoiseSchedule:
        """arXiv:2006.11239: evenly spaced betas."""
        return cls.from_betas(torch.linspace(start, end, steps, dtype=torch.float64))

    def zero_terminal_snr(self, floor: float = 2.0**-24) -> NoiseSchedule:
        """Algorithm 1 of arXiv:2305.08891: shift and scale sqrt(a) so that the last level holds no picture.

        ``floor`` replaces the last alphas_cumprod, which would be 0, so that its sigma stays finite (2**-24: 4096).
        """
        roots = self.alphas_cumprod.sqrt()
        roots = (roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))
        return NoiseSchedule((roots**2).clamp(min=floor))

    @cached_property
    def sigmas(self) -> Tensor:
        """(T,) float64, ascending."""
        return ((1.0 - self.alphas_cumprod) / self.alphas_cumprod).sqrt()

    @property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])

    def t(self, sigma: float | Tensor) -> float:
        """The fractional index of a sigma, linear in log sigma between levels; 0 or T - 1 outside the range."""
        return float(np.interp(math.log(float(sigma)), self._log_sigmas, self._indices))

    def sigma(self, t: float | Tensor) -> float:
        """The inverse of ``t``."""
        return math.exp(float(np.interp(float(t), self._indices, self._log_sigmas)))

    @cached_property
    def _log_sigmas(self) -> NDArray[np.float64]:
        logs: NDArray[np.float64] = self.sigmas.log().cpu().numpy()
        return logs

    @cached_property
    def _indices(self) -> NDArray[np.float64]:
        return np.arange(len(self.sigmas), dtype=np.float64)


STABLE_DIFFUSION = NoiseSchedule.scaled_linear()
