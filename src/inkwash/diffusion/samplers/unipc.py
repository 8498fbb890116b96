"""UniPC (arXiv:2302.04867): each prediction corrects the step that led to it and opens the next."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from torch import Tensor

from inkwash.core.errors import InvalidRequest
from inkwash.diffusion.samplers.ancestral import towards
from inkwash.diffusion.samplers.protocol import Noise, Steps, floats, level

_Known = tuple[float, Tensor]  # lambda = -log sigma, and the prediction there


def unipc(
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    order: int = 3,
    variant: Literal["bh1", "bh2"] = "bh1",
    lower_order_final: bool = True,
) -> Steps:
    """UniPC-p, data prediction, B(h) = h (bh1) or e^h - 1 (bh2): Algorithms 5 and 6 of arXiv:2302.04867.

    The order grows from 1 at the start and, with ``lower_order_final``, falls to 1 at the end; a step to 0 is of
    order 1.
    """
    if variant not in ("bh1", "bh2"):
        raise InvalidRequest(f"UniPC has no variant {variant!r}.", "Choose bh1 or bh2.")
    levels = floats(sigmas)
    steps = len(levels) - 1
    known: deque[_Known] = deque(maxlen=order)  # newest first
    corrected, p = x, 0
    for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
        denoised = (yield x, level(sigma)).denoised
        if sigma_next == 0:
            return denoised
        if i > 0:
            corrected = _correct(corrected, known, levels[i - 1], sigma, denoised, p, variant)
        known.appendleft((-math.log(sigma), denoised))
        p = min(len(known), steps - i if lower_order_final else order)
        x = _predict(corrected, known, sigma, sigma_next, p, variant)
    return x


def _predict(x: Tensor, known: Sequence[_Known], sigma: float, sigma_next: float, p: int, variant: str) -> Tensor:
    """UniP-p from sigma to sigma_next."""
    h = math.log(sigma / sigma_next)
    ratios, differences = _differences(known, h, p)
    # Order 2 has the solution 1/2 to leading order, which the paper's programs use as it is.
    weights = [0.5] if p == 2 else _solve(ratios, h, variant)
    return _advance(x, known[0][1], sigma_next / sigma, weights, differences, h, variant)


def _correct(
    x: Tensor, known: Sequence[_Known], sigma: float, sigma_next: float, denoised: Tensor, p: int, variant: str
) -> Tensor:
    """UniC-p: the step from sigma to sigma_next again, now that ``denoised`` at its end is known."""
    h = math.log(sigma / sigma_next)
    ratios, differences = _differences(known, h, p)
    weights = [0.5] if p == 1 else _solve([*ratios, 1.0], h, variant)
    differences.append(denoised - known[0][1])
    return _advance(x, known[0][1], sigma_next / sigma, weights, differences, h, variant)


def _differences(known: Sequence[_Known], h: float, p: int) -> tuple[list[float], list[Tensor]]:
    """r_m and D_m / r_m of the p - 1 predictions before the newest."""
    newest, base = known[0]
    ratios = [(known[m][0] - newest) / h for m in range(1, p)]
    return ratios, [(known[m][1] - base) / r for m, r in zip(range(1, p), ratios, strict=True)]


def _advance(
    x: Tensor,
    base: Tensor,
    ratio: float,
    weights: Sequence[float],
    differences: Sequence[Tensor],
    h: float,
    variant: str,
) -> Tensor:
    result = towards(x, base, ratio)
    for weight, difference in zip(weights, differences, strict=True):
        result = result - difference * (weight * _b(h, variant))
    return result


def _solve(ratios: Sequence[float], h: float, variant: str) -> list[float]:
    """The weights a of R(h) a = phi(h) / B(h), equation 9 with h -> -h for data prediction."""
    if not ratios:
        return []
    phi, factorial, right = math.expm1(-h) / -h - 1, 1, []
    for n in range(2, len(ratios) + 2):
        right.append(phi * factorial / _b(h, variant))
        factorial *= n
        phi = phi / -h - 1 / factorial
    matrix = np.vander(np.asarray(ratios), increasing=True).T
    return [float(weight) for weight in np.linalg.solve(matrix, np.asarray(right))]


def _b(h: float, variant: str) -> float:
    return -h if variant == "bh1" else math.expm1(-h)
