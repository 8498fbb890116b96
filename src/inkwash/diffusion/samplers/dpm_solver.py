"""DPM-Solver (arXiv:2206.00927) in single steps of orders 1 to 3: "fast", of fixed steps, and "adaptive".

Steps are even in t = -log sigma; eps = (x - denoised) / sigma.  Both stop at the last positive sigma.
"""

from __future__ import annotations

import math
from collections.abc import Generator

import torch
from torch import Tensor

from inkwash.core.errors import InkwashError, InvalidRequest
from inkwash.diffusion.prediction import Prediction
from inkwash.diffusion.samplers.ancestral import ancestral_step
from inkwash.diffusion.samplers.protocol import Noise, Steps, floats, level, renoised

_Pair = Generator[tuple[Tensor, Tensor], Prediction, tuple[Tensor, Tensor]]


def dpm_fast(x: Tensor, sigmas: Tensor, noise: Noise, *, eta: float = 0.0, s_noise: float = 1.0) -> Steps:
    """DPM-Solver-fast, section 3.4: as many model calls as ``sigmas`` has steps, in steps of order 3 and a rest.

    Only the largest and the smallest positive of ``sigmas`` are used.
    """
    calls = len(sigmas) - 1
    span = _span(floats(sigmas))
    if span is None:
        return (yield from _lone_step(x, floats(sigmas)))
    start, end = span
    steps = calls // 3 + 1
    orders = [3] * (steps - 2) + [2, 1] if calls % 3 == 0 else [3] * (steps - 1) + [calls % 3]
    for i, order in enumerate(orders):
        t, t_next = (start + (end - start) * k / steps for k in (i, i + 1))
        t_down, up = _ancestral(t, t_next, end, eta)
        eps = yield from _eps(x, t)
        x_next, _ = yield from _step(order, x, eps, t, t_down)
        x = renoised(x_next, math.exp(-t), math.exp(-t_next), up * s_noise, noise)
    return x


def dpm_adaptive(
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Steps:
    """DPM-Solver-12 (order 2) and -23 (order 3), appendix C: each step compares two orders and sets its own length.

    Only the largest and the smallest positive of ``sigmas`` are used; the number of calls follows from rtol and atol.
    """
    if order not in (2, 3):
        raise InvalidRequest(f"DPM adaptive has no order {order}.", "Choose 2 or 3.")
    span = _span(floats(sigmas))
    if span is None:
        return (yield from _lone_step(x, floats(sigmas)))
    t, end = span
    length = StepLength(h_init, pcoeff, icoeff, dcoeff, 1.5 if eta else order, accept_safety)
    previous = x
    eps = yield from _eps(x, t)
    while True:
        t_next = min(end, t + length.h)
        t_down, up = _ancestral(t, t_next, end, eta)
        high, low = yield from _step(order, x, eps, t, t_down)
        tolerance = (rtol * torch.maximum(low.abs(), previous.abs())).clamp(min=atol)
        if length.accepts(float(((low - high) / tolerance).square().mean().sqrt())):
            previous, x = low, renoised(high, math.exp(-t), math.exp(-t_next), up * s_noise, noise)
            t = t_next
            if t >= end - 1e-5:
                return x
            eps = yield from _eps(x, t)


class StepLength:
    """A PID controller of the step length h in t: the error of a step, 1 being just tolerable, sets the next one."""

    def __init__(self, h: float, p: float, i: float, d: float, order: float, accept_safety: float) -> None:
        self.h = h
        self._powers = ((p + i + d) / order, -(p + 2 * d) / order, d / order)
        self._accept_safety = accept_safety
        self._inverse_errors: list[float] = []  # of this step and the last two accepted ones

    def accepts(self, error: float) -> bool:
        """Whether the step stands; h becomes the length of the next try.  Raises InkwashError for NaN and infinity."""
        if not math.isfinite(error):
            raise InkwashError(
                "The model's predictions hold values that are not numbers.", "Try float32, or another model or VAE."
            )
        inverse = 1 / (error + 1e-8)
        self._inverse_errors = [inverse, *(self._inverse_errors[1:] or [inverse, inverse])]
        raw = math.prod(e**power for e, power in zip(self._inverse_errors, self._powers, strict=True))
        factor = 1 + math.atan(raw - 1)
        accepted = factor >= self._accept_safety
        if accepted:
            self._inverse_errors = [inverse, inverse, self._inverse_errors[1]]
        self.h *= factor
        return accepted


def _step(order: int, x: Tensor, eps: Tensor, t: float, t_next: float) -> _Pair:
    """x at t_next by DPM-Solver-``order`` and by the order below.

    Algorithms 1 (r1 = 1/2) and 2 (r1 = 1/3, r2 = 2/3) of arXiv:2206.00927.
    """
    one = _step1(x, eps, t, t_next)
    if order == 1:
        return one, one
    r1 = 1 / 2 if order == 2 else 1 / 3
    t_1 = t + r1 * (t_next - t)
    eps_1 = yield from _eps(_step1(x, eps, t, t_1), t_1)
    two = _step1(x, eps + (eps_1 - eps) / (2 * r1), t, t_next)
    if order == 2:
        return two, one
    t_2 = t + 2 / 3 * (t_next - t)
    x_2 = _step1(x, eps, t, t_2) - (eps_1 - eps) * (2 * math.exp(-t_2) * _phi(t_2 - t))
    eps_2 = yield from _eps(x_2, t_2)
    return one - (eps_2 - eps) * (3 / 2 * math.exp(-t_next) * _phi(t_next - t)), two


def _step1(x: Tensor, eps: Tensor, t: float, t_next: float) -> Tensor:
    return x - eps * (math.exp(-t_next) * math.expm1(t_next - t))


def _phi(h: float) -> float:
    """(e^h - 1) / h - 1"""
    return math.expm1(h) / h - 1


def _eps(x: Tensor, t: float) -> Steps:
    sigma = math.exp(-t)
    prediction = yield x, level(sigma)
    return (x - prediction.denoised) / sigma


def _ancestral(t: float, t_next: float, end: float, eta: float) -> tuple[float, float]:
    """The time to step to and the noise to add there, never going below the last sigma."""
    if not eta:
        return t_next, 0.0
    down, _ = ancestral_step(math.exp(-t), math.exp(-t_next), eta)
    t_down = min(end, -math.log(down)) if down > 0 else end
    return t_down, math.sqrt(max(math.exp(-2 * t_next) - math.exp(-2 * t_down), 0.0))


def _span(levels: list[float]) -> tuple[float, float] | None:
    """t of the largest and of the smallest positive sigma, or None when there are not two."""
    positive = [sigma for sigma in levels if sigma > 0]
    return (-math.log(positive[0]), -math.log(positive[-1])) if len(positive) > 1 else None


def _lone_step(x: Tensor, levels: list[float]) -> Steps:
    """The step of a schedule such as (14.6, 0), whose range in t is infinite."""
    if len(levels) < 2:
        return x
    prediction = yield x, level(levels[0])
    return prediction.denoised
