"""Euler and the second-order samplers built on it: Heun, DPM2, HeunPP2 (arXiv:2206.00364).

d = (x - denoised) / sigma is dx/dsigma of the probability-flow ODE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from inkwash.diffusion.samplers.protocol import Noise, Steps, floats, level


def euler(
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Steps:
    """Algorithm 2 of arXiv:2206.00364 without its second-order correction."""
    levels = floats(sigmas)
    churn = Churn(s_churn, s_tmin, s_tmax, s_noise, len(levels) - 1)
    for start, sigma_next in pairwise(levels):
        x, sigma = churn.raised(x, start, noise)
        prediction = yield x, level(sigma)
        x = x + (x - prediction.denoised) / sigma * (sigma_next - sigma)
    return x


def heun(
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Steps:
    """Algorithm 2 of arXiv:2206.00364: the trapezoidal rule, Euler for a step to 0."""
    levels = floats(sigmas)
    churn = Churn(s_churn, s_tmin, s_tmax, s_noise, len(levels) - 1)
    for start, sigma_next in pairwise(levels):
        x, sigma = churn.raised(x, start, noise)
        x = yield from heun_step(x, sigma, sigma_next)
    return x


def heun_step(x: Tensor, sigma: float, sigma_next: float) -> Steps:
    """From sigma to sigma_next by the mean slope of both ends."""
    prediction = yield x, level(sigma)
    d = (x - prediction.denoised) / sigma
    there = x + d * (sigma_next - sigma)
    if sigma_next == 0:
        return there
    prediction = yield there, level(sigma_next)
    d_next = (there - prediction.denoised) / sigma_next
    return x + (d + d_next) / 2 * (sigma_next - sigma)


def dpm2(
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Steps:
    """DPM-Solver-2 in the frame of Algorithm 2: the slope at the geometric mean of both sigmas."""
    levels = floats(sigmas)
    churn = Churn(s_churn, s_tmin, s_tmax, s_noise, len(levels) - 1)
    for start, sigma_next in pairwise(levels):
        x, sigma = churn.raised(x, start, noise)
        x = yield from midpoint_step(x, sigma, sigma_next)
    return x


def midpoint_step(x: Tensor, sigma: float, sigma_next: float) -> Steps:
    """From sigma to sigma_next by the slope halfway in log sigma; Euler to 0."""
    prediction = yield x, level(sigma)
    d = (x - prediction.denoised) / sigma
    if sigma_next == 0:
        return x - d * sigma
    middle = math.sqrt(sigma * sigma_next)
    halfway = x + d * (middle - sigma)
    prediction = yield halfway, level(middle)
    return x + (halfway - prediction.denoised) / middle * (sigma_next - sigma)


def heunpp2(
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Steps:
    """Heun++: looks up to two steps ahead and weighs each later slope by sigma / (slopes * sigmas[0]).

    The last step is Euler's, the one before has one later slope.  No paper: as in ComfyUI and Forge.
    """
    levels = floats(sigmas)
    churn = Churn(s_churn, s_tmin, s_tmax, s_noise, len(levels) - 1)
    for i, (start, sigma_next) in enumerate(pairwise(levels)):
        x, sigma = churn.raised(x, start, noise)
        ahead = levels[i + 1 : min(i + 3, len(levels) - 1)]
        prediction = yield x, level(sigma)
        d = (x - prediction.denoised) / sigma
        slope, there, here, d_here = d, x, sigma, d
        for sigma_there in ahead:
            there = there + d_here * (sigma_there - here)
            prediction = yield there, level(sigma_there)
            here, d_here = sigma_there, (there - prediction.denoised) / sigma_there
            slope = slope + (d_here - d) * (sigma_there / ((len(ahead) + 1) * levels[0]))
        x = x + slope * (sigma_next - sigma)
    return x


@dataclass(frozen=True)
class Churn:
    """Lines 4 to 6 of Algorithm 2: fresh noise lifts x to a higher sigma before a step, S_tmin <= sigma <= S_tmax."""

    amount: float
    tmin: float
    tmax: float
    s_noise: float
    steps: int

    def raised(self, x: Tensor, sigma: float, noise: Noise) -> tuple[Tensor, float]:
        """x and its new sigma."""
        if self.amount <= 0:
            return x, sigma
        inside = self.tmin <= sigma <= self.tmax
        gamma = min(self.amount / self.steps, math.sqrt(2) - 1) if inside else 0.0
        raised = sigma * (1 + gamma)
        # Drawn outside the range as well, as A1111 does, so that the numbers drawn later are the same.
        eps = noise(level(sigma), level(raised)).to(x.dtype)
        if gamma == 0:
            return x, sigma
        return x + eps * (self.s_noise * math.sqrt(raised**2 - sigma**2)), raised
