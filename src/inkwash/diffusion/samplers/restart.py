"""Restart sampling (arXiv:2306.14878): go back up with fresh noise and come down again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from inkwash.diffusion.samplers.euler import heun_step
from inkwash.diffusion.samplers.protocol import Noise, Steps, floats, renoised

_RHO = 7.0


class Restarts(NamedTuple):
    """From a level: ``times`` times up to ``sigma_max`` and down again over ``points`` sigmas, both ends counted."""

    points: int
    times: int
    sigma_max: float


def restart(
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    s_noise: float = 1.0,
    restart_list: Mapping[float, tuple[int, int, float]] | None = None,
) -> Steps:
    """Algorithm 1 of arXiv:2306.14878 with Heun steps.

    restart_list: {sigma_min: Restarts}.  None is A1111's choice: from 20 steps on, one restart between sigma 0.1 and 2
    with 9 of the steps; from 36 on, two with a quarter each; the steps left are spaced anew (Karras, rho 7).
    """
    levels = floats(sigmas)
    if restart_list is None:
        levels, restart_list = _default(levels)
    here = levels[0]
    for sigma, sigma_next in _intervals(levels, restart_list):
        if sigma > here:
            x = renoised(x, here, sigma, s_noise * math.sqrt(sigma**2 - here**2), noise)
        x = yield from heun_step(x, sigma, sigma_next)
        here = sigma_next
    return x


def _default(levels: list[float]) -> tuple[list[float], dict[float, tuple[int, int, float]]]:
    """A1111's schedule and restarts; the number of steps stays as it was."""
    steps = len(levels) - 1
    if steps < 20:
        return levels, {}
    points, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    left = steps - points * times
    if levels[-1] == 0:
        levels = [*_karras(left, levels[-2], levels[0]), 0.0]
    else:
        levels = _karras(left + 1, levels[-1], levels[0])
    return levels, {0.1: Restarts(points + 1, times, 2.0)}


def _intervals(levels: list[float], restarts: Mapping[float, tuple[int, int, float]]) -> Iterator[tuple[float, float]]:
    """Every (sigma, sigma_next) in the order they are walked; each restart hangs on the level nearest to its sigma."""
    planned = {_nearest(levels, sigma): Restarts(*plan) for sigma, plan in restarts.items()}
    for i, interval in enumerate(pairwise(levels), start=1):
        yield interval
        if i in planned:
            top = _nearest(levels, planned[i].sigma_max)
            if top < i:
                again = list(pairwise(_karras(planned[i].points, levels[i], levels[top])))
                yield from again * planned[i].times


def _nearest(levels: list[float], sigma: float) -> int:
    return min(range(len(levels)), key=lambda i: abs(levels[i] - sigma))


def _karras(count: int, sigma_min: float, sigma_max: float) -> list[float]:
    """Equation 5 of arXiv:2206.00364 without the final 0; both ends exact, so that no step begins by going up."""
    low, high = sigma_min ** (1 / _RHO), sigma_max ** (1 / _RHO)
    between = [(high + i / (count - 1) * (low - high)) ** _RHO for i in range(1, count - 1)]
    return [sigma_max, *between, sigma_min]
