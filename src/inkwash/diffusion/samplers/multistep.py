"""Linear multistep samplers: the slope over a step is extrapolated from slopes already known (Adams-Bashforth)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inkwash.diffusion.samplers.protocol import Noise, Steps, floats, level

# Weights for evenly spaced steps, newest slope first (equations 9 and 12 of arXiv:2202.09778 for the fourth order).
_EVEN = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


def lms(x: Tensor, sigmas: Tensor, noise: Noise, *, order: int = 4) -> Steps:
    """Adams-Bashforth on uneven steps: the polynomial through the last ``order`` slopes, integrated over sigma."""
    levels = floats(sigmas)
    slopes: deque[Tensor] = deque(maxlen=order)
    for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
        prediction = yield x, level(sigma)
        slopes.appendleft((x - prediction.denoised) / sigma)
        x = x + _weighted(lagrange_integrals(_last(levels, i, len(slopes)), sigma, sigma_next), slopes)
    return x


def plms(x: Tensor, sigmas: Tensor, noise: Noise) -> Steps:
    """Pseudo linear multistep, arXiv:2202.09778, with Stable Diffusion's start: one step of improved Euler.

    The first step asks twice; a step to 0 cannot and is Euler's.
    """
    slopes: deque[Tensor] = deque(maxlen=4)
    for i, (sigma, sigma_next) in enumerate(pairwise(floats(sigmas))):
        prediction = yield x, level(sigma)
        slopes.appendleft((x - prediction.denoised) / sigma)
        slope = _weighted(_EVEN[len(slopes)], slopes)
        if i == 0 and sigma_next > 0:
            there = x + slope * (sigma_next - sigma)
            prediction = yield there, level(sigma_next)
            slope = (slope + (there - prediction.denoised) / sigma_next) / 2
        x = x + slope * (sigma_next - sigma)
    return x


def ipndm(x: Tensor, sigmas: Tensor, noise: Noise, *, max_order: int = 4) -> Steps:
    """Improved PNDM (arXiv:2204.13902, section 3): weights of even steps from the first step on, Euler to 0."""
    slopes: deque[Tensor] = deque(maxlen=max_order)
    for sigma, sigma_next in pairwise(floats(sigmas)):
        prediction = yield x, level(sigma)
        slopes.appendleft((x - prediction.denoised) / sigma)
        x = prediction.denoised if sigma_next == 0 else x + _weighted(_EVEN[len(slopes)], slopes) * (sigma_next - sigma)
    return x


def ipndm_v(x: Tensor, sigmas: Tensor, noise: Noise, *, max_order: int = 4) -> Steps:
    """IPNDM with weights that follow the lengths of the last steps, as ComfyUI and Forge compute them; Euler to 0."""
    levels = floats(sigmas)
    slopes: deque[Tensor] = deque(maxlen=max_order)
    for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
        prediction = yield x, level(sigma)
        slopes.appendleft((x - prediction.denoised) / sigma)
        lengths = [a - b for a, b in pairwise([sigma_next, *_last(levels, i, len(slopes))])]
        x = prediction.denoised if sigma_next == 0 else x + _weighted(_uneven(lengths), slopes) * (sigma_next - sigma)
    return x


def deis(x: Tensor, sigmas: Tensor, noise: Noise, *, max_order: int = 3) -> Steps:
    """tAB-DEIS, arXiv:2204.13902: the polynomial through the last slopes is one in the time of a VP diffusion.

    Its time runs over [1e-3, 1] for sigma 0.002 .. 80, as in ComfyUI and Forge.  Euler to 0.
    """
    levels = floats(sigmas)
    slopes: deque[Tensor] = deque(maxlen=max_order)
    for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
        prediction = yield x, level(sigma)
        slopes.appendleft((x - prediction.denoised) / sigma)
        nodes = _last(levels, i, len(slopes)) if sigma_next > 0 else [sigma]
        x = x + _weighted(deis_integrals(nodes, sigma, sigma_next), slopes)
    return x


def lagrange_integrals(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """The integral from start to end of each Lagrange polynomial of the nodes."""
    span = end - start
    scaled = [(node - start) / span for node in nodes]
    integrals = []
    for j, node in enumerate(scaled):
        others = scaled[:j] + scaled[j + 1 :]
        polynomial = np.polynomial.Polynomial.fromroots(others) if others else np.polynomial.Polynomial([1.0])
        integrals.append(span * float(polynomial.integ()(1.0)) / math.prod(node - other for other in others))
    return integrals


def deis_integrals(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """The integral over sigma of each Lagrange polynomial in VP time; Gauss-Legendre, error below 1e-9 relative."""
    if len(nodes) == 1:
        return [end - start]
    points, weights = np.polynomial.legendre.leggauss(32)
    times = _vp_time((start + end) / 2 + points * (end - start) / 2)
    fixed = _vp_time(np.asarray(nodes))
    integrals = []
    for j, node in enumerate(fixed):
        others = np.delete(fixed, j)
        values = np.prod((times[:, None] - others) / (node - others), axis=1)
        integrals.append(float(np.sum(weights * values)) * (end - start) / 2)
    return integrals


def _vp_time(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """The time t of log(sigma^2 + 1) = slope t^2 / 2 + first t, with t = 1e-3 at sigma 0.002 and t = 1 at 80."""
    low, high = math.log(0.002**2 + 1), math.log(80.0**2 + 1)
    slope = 2 * (low / 1e-3 - high) / (1e-3 - 1)
    first = high - slope / 2
    return (np.sqrt(first**2 + 2 * slope * np.log(sigma**2 + 1)) - first) / slope


def _uneven(lengths: Sequence[float]) -> list[float]:
    """Weights for steps of the given (negative) lengths, the coming one first.

    Newton's form: each term adds one slope.  The first is Adams-Bashforth's; the second and third are as those programs
    write them, and equal Adams-Bashforth's for even steps (the second) or never (the third: 11/24 instead of 9/24).
    """
    a, b, c, d = [*lengths, *[lengths[-1]] * (4 - len(lengths))]
    first = a / b / 2 if len(lengths) > 1 else 0.0
    second = (1 - a / (3 * (a + b)) * (a * (a + b)) / (b * (b + c))) / 2 if len(lengths) > 2 else 0.0
    third = 0.0
    if len(lengths) > 3:
        third = (1 - a / (3 * (a + b))) / 2 + (1 - a / (2 * (a + b))) * a / (6 * (a + b + c))
        third *= a * (a + b) * (a + b + c) / (b * (b + c) * (b + c + d))
    p, q, r = b / c, b * (b + c) / (c * (c + d)), c / d
    return [
        1 + first + second + third,
        -first - (1 + p) * second - (1 + p + q) * third,
        p * second + (p + q * (1 + r)) * third,
        -q * p * third,
    ][: len(lengths)]


def _last(levels: list[float], i: int, count: int) -> list[float]:
    """levels[i] and the ones before it, newest first."""
    return levels[i - count + 1 : i + 1][::-1]


def _weighted(weights: Sequence[float], slopes: Iterable[Tensor]) -> Tensor:
    terms = [weight * slope for weight, slope in zip(weights, slopes, strict=False)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
