"""What a network predicts: the noise (eps), the velocity (v) or the picture (x0), for sampling and for training.

Sampling works on VE latents x = x0 + sigma eps, training on VP latents x_t = sqrt(a) x0 + sqrt(1 - a) eps; see
``noise_schedule``.  ``scale_input`` leads from the first to the second.  A sigma is a number, a 0-d tensor or one value
a row, (B,) for x of (B, ...).  Coefficients are computed in float64; results keep x's dtype.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from inkwash.diffusion.noise_schedule import NoiseSchedule

PredictionType = Literal["eps", "v", "x0"]


def scale_input(x: Tensor, sigma: float | Tensor) -> Tensor:
    """VE latents to the VP latents the network was trained on: x / sqrt(sigma^2 + 1)."""
    return x * _rows((_double(sigma) ** 2 + 1).rsqrt(), x)


def denoised(output: Tensor, x: Tensor, sigma: float | Tensor, prediction: PredictionType) -> Tensor:
    """The picture a network's output stands for.  x: VE latents, the ones ``scale_input`` was given."""
    if prediction == "x0":
        return output
    s = _double(sigma)
    if prediction == "eps":
        return x - output * _rows(s, x)
    return x * _rows(1 / (s**2 + 1), x) - output * _rows(s * (s**2 + 1).rsqrt(), x)


def output(denoised: Tensor, x: Tensor, sigma: float | Tensor, prediction: PredictionType) -> Tensor:
    """The inverse of ``denoised``: what the network must have said.  sigma > 0."""
    if prediction == "x0":
        return denoised
    s = _double(sigma)
    if prediction == "eps":
        return (x - denoised) * _rows(1 / s, x)
    return x * _rows(1 / (s * (s**2 + 1).sqrt()), x) - denoised * _rows((s**2 + 1).sqrt() / s, x)


def add_noise(x0: Tensor, noise: Tensor, t: Tensor, schedule: NoiseSchedule) -> Tensor:
    """VP latents at the integer levels t, (B,) or 0-d: sqrt(a) x0 + sqrt(1 - a) noise."""
    a = _alphas_cumprod(t, schedule)
    return x0 * _rows(a.sqrt(), x0) + noise * _rows((1 - a).sqrt(), x0)


def target(x0: Tensor, noise: Tensor, t: Tensor, schedule: NoiseSchedule, prediction: PredictionType) -> Tensor:
    """What the network should say at level t: eps = noise, v = sqrt(a) noise - sqrt(1 - a) x0 (arXiv:2202.00512)."""
    if prediction == "x0":
        return x0
    if prediction == "eps":
        return noise
    a = _alphas_cumprod(t, schedule)
    return noise * _rows(a.sqrt(), x0) - x0 * _rows((1 - a).sqrt(), x0)


def snr(t: Tensor, schedule: NoiseSchedule) -> Tensor:
    """Signal-to-noise ratio a / (1 - a) of the levels t, float64."""
    a = _alphas_cumprod(t, schedule)
    return a / (1 - a)


def min_snr_weight(t: Tensor, schedule: NoiseSchedule, prediction: PredictionType, gamma: float = 5.0) -> Tensor:
    """Loss weights of arXiv:2303.09556 for the squared error of ``target``, shape of t, float64.

    min(SNR, gamma) weighs the error of x0; an error of eps is SNR times larger, one of v (SNR + 1) times.
    """
    ratio = snr(t, schedule)
    scales = {"x0": torch.ones_like(ratio), "eps": ratio, "v": ratio + 1}
    return ratio.clamp(max=gamma) / scales[prediction]


def _alphas_cumprod(t: Tensor, schedule: NoiseSchedule) -> Tensor:
    return schedule.alphas_cumprod.to(t.device)[t]


def _double(sigma: float | Tensor) -> Tensor:
    return torch.as_tensor(sigma, dtype=torch.float64)


def _rows(value: Tensor, x: Tensor) -> Tensor:
    """One value a row, ready to be multiplied with x without changing its dtype."""
    value = value.to(device=x.device, dtype=x.dtype)
    return value.reshape(-1, *[1] * (x.ndim - 1)) if value.ndim else value
