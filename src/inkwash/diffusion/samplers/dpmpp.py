"""DPM-Solver++ in multiple steps and its stochastic forms (arXiv:2211.01095), k-diffusion's variants of them.

Steps are counted in h = log(sigma / sigma_next); ``denoised`` is extrapolated from the steps before.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from torch import Tensor

from inkwash.core.errors import InvalidRequest
from inkwash.diffusion.samplers.ancestral import ancestral_step, towards
from inkwash.diffusion.samplers.protocol import Noise, Steps, floats, level, renoised


def dpmpp_2m(x: Tensor, sigmas: Tensor, noise: Noise) -> Steps:
    """DPM-Solver++(2M), Algorithm 2 of arXiv:2211.01095; first order to start and to 0."""
    before: Tensor | None = None
    h_before = 0.0
    for sigma, sigma_next in pairwise(floats(sigmas)):
        denoised = (yield x, level(sigma)).denoised
        if sigma_next == 0:
            return denoised
        h = math.log(sigma / sigma_next)
        ahead = denoised if before is None else denoised + (denoised - before) * (h / h_before / 2)
        x = towards(x, ahead, sigma_next / sigma)
        before, h_before = denoised, h
    return x


def dpmpp_sde(
    x: Tensor, sigmas: Tensor, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0, r: float = 1 / 2
) -> Steps:
    """SDE-DPM-Solver++(2S): an ancestral step to the point r of the way (in log sigma), then one over the whole."""
    for sigma, sigma_next in pairwise(floats(sigmas)):
        first = (yield x, level(sigma)).denoised
        if sigma_next == 0:
            return first
        middle = sigma ** (1 - r) * sigma_next**r
        down, up = ancestral_step(sigma, middle, eta)
        halfway = renoised(towards(x, first, down / sigma), sigma, middle, up * s_noise, noise)
        second = (yield halfway, level(middle)).denoised
        down, up = ancestral_step(sigma, sigma_next, eta)
        ahead = first + (second - first) / (2 * r)
        x = renoised(towards(x, ahead, down / sigma), sigma, sigma_next, up * s_noise, noise)
    return x


def dpmpp_2m_sde(
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
) -> Steps:
    """SDE-DPM-Solver++(2M); ``solver_type`` says how the difference to the last prediction is integrated.

    eta scales the noise of the reverse SDE; eta = 0 is an ODE solver.
    """
    if solver_type not in ("midpoint", "heun"):
        raise InvalidRequest(f"DPM++ 2M SDE has no solver type {solver_type!r}.", "Choose midpoint or heun.")
    before: Tensor | None = None
    h_before = 0.0
    for sigma, sigma_next in pairwise(floats(sigmas)):
        denoised = (yield x, level(sigma)).denoised
        if sigma_next == 0:
            return denoised
        h = math.log(sigma / sigma_next)
        decay = -h * (1 + eta)
        x, current = towards(x, denoised, math.exp(decay)), denoised
        if before is not None:
            share = -math.expm1(decay)
            weight = share / 2 if solver_type == "midpoint" else share / decay + 1
            x = x + (current - before) * (weight * h / h_before)
        x = renoised(x, sigma, sigma_next, sde_noise(sigma_next, h, eta) * s_noise, noise)
        before, h_before = current, h
    return x


def dpmpp_2m_sde_heun(x: Tensor, sigmas: Tensor, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0) -> Steps:
    """SDE-DPM-Solver++(2M) with solver_type "heun"."""
    return (yield from dpmpp_2m_sde(x, sigmas, noise, eta=eta, s_noise=s_noise, solver_type="heun"))


def dpmpp_3m_sde(x: Tensor, sigmas: Tensor, noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0) -> Steps:
    """SDE-DPM-Solver++(3M): the last three predictions give a slope and a curvature in log sigma."""
    history: list[tuple[Tensor, float]] = []  # (denoised, h of the step it began), newest first
    for sigma, sigma_next in pairwise(floats(sigmas)):
        denoised = (yield x, level(sigma)).denoised
        if sigma_next == 0:
            return denoised
        h = math.log(sigma / sigma_next)
        decay = -h * (1 + eta)
        phi_2 = math.expm1(decay) / -decay + 1
        x = towards(x, denoised, math.exp(decay))
        if len(history) == 1:
            ((before, h_before),) = history
            x = x + (denoised - before) * (phi_2 * h / h_before)
        elif len(history) == 2:
            slope, curvature = _differences(denoised, history, h)
            x = x + slope * phi_2 - curvature * (phi_2 / -decay - 0.5)
        x = renoised(x, sigma, sigma_next, sde_noise(sigma_next, h, eta) * s_noise, noise)
        history = [(denoised, h), *history[:1]]
    return x


def sde_noise(sigma_next: float, h: float, eta: float) -> float:
    """Standard deviation of the noise a step of the reverse SDE adds."""
    return sigma_next * math.sqrt(-math.expm1(-2 * h * eta))


def _differences(denoised: Tensor, history: list[tuple[Tensor, float]], h: float) -> tuple[Tensor, Tensor]:
    """First and second derivative of ``denoised`` in units of the coming step h, from the two predictions before."""
    (before, h_1), (earlier, h_2) = history
    r_0, r_1 = h_1 / h, h_2 / h
    newer, older = (denoised - before) / r_0, (before - earlier) / r_1
    curvature = (newer - older) / (r_0 + r_1)
    return newer + curvature * r_0, curvature
