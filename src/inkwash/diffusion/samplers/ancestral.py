"""Samplers that step below the next sigma and come back up with fresh noise; also LCM, which goes all the way down."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from inkwash.diffusion.samplers.euler import midpoint_step
from inkwash.diffusion.samplers.protocol import Noise, Steps, floats, level, renoised


def ancestral_step(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """(sigma_down, sigma_up): where to step down to, and how much noise to add so that the sum is sigma_next.

    sigma_up is eta times the noise of DDPM's posterior: equation 16 of arXiv:2010.02502 in VE form.
    """
    if eta == 0 or sigma_next == 0:
        return sigma_next, 0.0
    spread = sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2
    sigma_up = min(sigma_next, eta * math.sqrt(max(spread, 0.0)))
    return math.sqrt(max(sigma_next**2 - sigma_up**2, 0.0)), sigma_up


def euler_ancestral(x: Tensor, sigmas: Tensor, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0) -> Steps:
    """Euler steps to sigma_down, then noise; with eta = 0 it is Euler, with eta = 1 DDPM's ancestral sampling."""
    for sigma, sigma_next in pairwise(floats(sigmas)):
        prediction = yield x, level(sigma)
        down, up = ancestral_step(sigma, sigma_next, eta)
        x = x + (x - prediction.denoised) / sigma * (down - sigma)
        x = renoised(x, sigma, sigma_next, up * s_noise, noise)
    return x


def dpm2_ancestral(x: Tensor, sigmas: Tensor, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0) -> Steps:
    """DPM2's midpoint steps to sigma_down, then noise."""
    for sigma, sigma_next in pairwise(floats(sigmas)):
        down, up = ancestral_step(sigma, sigma_next, eta)
        x = yield from midpoint_step(x, sigma, down)
        x = renoised(x, sigma, sigma_next, up * s_noise if down > 0 else 0.0, noise)
    return x


def dpmpp_2s_ancestral(x: Tensor, sigmas: Tensor, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0) -> Steps:
    """DPM-Solver++(2S), Algorithm 1 of arXiv:2211.01095 with r = 1/2, to sigma_down, then noise."""
    for sigma, sigma_next in pairwise(floats(sigmas)):
        down, up = ancestral_step(sigma, sigma_next, eta)
        prediction = yield x, level(sigma)
        if down > 0:
            middle = math.sqrt(sigma * down)
            halfway = towards(x, prediction.denoised, middle / sigma)
            prediction = yield halfway, level(middle)
        x = towards(x, prediction.denoised, down / sigma)
        x = renoised(x, sigma, sigma_next, up * s_noise, noise)
    return x


def lcm(x: Tensor, sigmas: Tensor, noise: Noise) -> Steps:
    """Multistep consistency sampling, Algorithm 3 of arXiv:2310.04378: denoise fully, noise to the next sigma."""
    for sigma, sigma_next in pairwise(floats(sigmas)):
        prediction = yield x, level(sigma)
        x = renoised(prediction.denoised, sigma, sigma_next, sigma_next, noise)
    return x


def towards(x: Tensor, denoised: Tensor, ratio: float) -> Tensor:
    """The exact solution for a constant ``denoised`` from sigma to ratio * sigma: exponential Euler."""
    return ratio * x + (1 - ratio) * denoised
