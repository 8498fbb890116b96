"""Noise inversion: the noise that leads back to a picture, for redrawing it without losing it."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from inkwash.core.request import NoiseInversion
from inkwash.diffusion.noise_schedule import NoiseSchedule
from inkwash.generation.run import Ask, Run

FLAT = 0.01
"""Variance of lightness, in squares of 0..1, at which a place counts as half detailed."""


def inverted(ask: Ask, original: Tensor, sigma: float, wanted: NoiseInversion, schedule: NoiseSchedule) -> Run[Tensor]:
    """Noise of unit variance, (4, h, w), from which Euler's method comes back to ``original`` from sigma.

    The probability flow dx/dsigma = (x - x0(x, sigma)) / sigma walked upwards, each step with the slope at its upper
    end, as the way down will take it.  ask: without guidance, which has no inverse.
    """
    x = original
    top = schedule.t(sigma)
    levels = [schedule.sigma(top * step / wanted.steps) for step in range(1, wanted.steps)]
    for low, high in pairwise([0.0, *levels, sigma]):
        told = schedule.sigma(schedule.t(high) / wanted.retouch) if wanted.retouch != 1 else high
        shown = x * math.sqrt((1 + told**2) / (1 + high**2))  # the same to the network, which is told another level
        prediction = yield from ask(shown, told, 0)
        x = x + (shown - prediction.denoised) / told * (high - low)
    return (x - original) / sigma


def renoised(inverse: Tensor, fresh: Tensor, picture: Tensor, wanted: NoiseInversion) -> Tensor:
    """Fresh noise in place of the inverse one where ``picture``, (3, H, W) in 0..1, has details.

    ((1 - m) inverse + m fresh) / sqrt((1 - m)^2 + m^2), which keeps the variance, with m = renoise_strength * v / (v +
    FLAT) of the variance v of lightness around each place.
    """
    if wanted.renoise_strength == 0:
        return inverse
    share = details(picture, wanted.renoise_kernel) * wanted.renoise_strength
    m = F.adaptive_avg_pool2d(share[None], (inverse.shape[1], inverse.shape[2]))[0].clamp(0, 1).to(inverse.device)
    return ((1 - m) * inverse + m * fresh) / torch.sqrt((1 - m) ** 2 + m**2)


def details(picture: Tensor, kernel: int) -> Tensor:
    """0 where lightness is even within ``kernel`` pixels around, towards 1 where it varies: (1, H, W)."""
    light = (picture * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True)
    reach = min(kernel // 2, *(side - 1 for side in light.shape[1:]))
    mean, square = (
        F.avg_pool2d(value[None], 2 * reach + 1, 1, reach, count_include_pad=False)[0] for value in (light, light**2)
    )
    variance = (square - mean**2).clamp(min=0)
    return variance / (variance + FLAT)
