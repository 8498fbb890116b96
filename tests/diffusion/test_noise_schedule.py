"""Noise levels against diffusers and the papers' formulas."""

from __future__ import annotations

import math

import diffusers
import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from inkwash.diffusion import STABLE_DIFFUSION, NoiseSchedule


@pytest.mark.parametrize(
    ("kind", "schedule"),
    [("scaled_linear", NoiseSchedule.scaled_linear()), ("linear", NoiseSchedule.linear(0.00085, 0.012))],
)
def test_levels_equal_diffusers(kind, schedule):
    theirs = diffusers.DDPMScheduler(1000, beta_start=0.00085, beta_end=0.012, beta_schedule=kind).alphas_cumprod
    torch.testing.assert_close(schedule.alphas_cumprod, theirs.double(), rtol=2e-5, atol=0)
    assert schedule.alphas_cumprod.dtype == torch.float64


def test_stable_diffusions_ends():
    """The values every program prints for SD 1.x."""
    assert STABLE_DIFFUSION.sigma_min == pytest.approx(0.0292, abs=5e-5)
    assert STABLE_DIFFUSION.sigma_max == pytest.approx(14.6146, abs=5e-5)


def test_t_is_linear_in_log_sigma_between_levels():
    sigmas = STABLE_DIFFUSION.sigmas
    for t in (0, 1, 250, 998, 999):
        assert STABLE_DIFFUSION.t(sigmas[t]) == pytest.approx(t, abs=1e-9)
    between = math.sqrt(float(sigmas[500]) * float(sigmas[501]))
    assert STABLE_DIFFUSION.t(between) == pytest.approx(500.5, abs=1e-9)
    assert STABLE_DIFFUSION.t(1e-3) == 0
    assert STABLE_DIFFUSION.t(1e3) == 999


@pytest.mark.parametrize("t", [0.0, 0.25, 499.5, 731.9, 999.0])
def test_sigma_is_the_inverse_of_t(t):
    assert STABLE_DIFFUSION.t(STABLE_DIFFUSION.sigma(t)) == pytest.approx(t, abs=1e-8)


def test_zero_terminal_snr_equals_diffusers():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    theirs = torch.cumprod(1 - rescale_zero_terminal_snr(betas), 0)
    ours = NoiseSchedule.scaled_linear().zero_terminal_snr()
    torch.testing.assert_close(ours.alphas_cumprod[:-1], theirs[:-1], rtol=1e-9, atol=0)
    assert ours.sigma_max == pytest.approx(4096, rel=1e-6)
    assert ours.alphas_cumprod[0] == pytest.approx(float(STABLE_DIFFUSION.alphas_cumprod[0]), rel=1e-12)


def test_from_betas():
    betas = torch.tensor([0.1, 0.2], dtype=torch.float32)
    expected = np.cumprod(1 - betas.double().numpy())
    np.testing.assert_allclose(NoiseSchedule.from_betas(betas).alphas_cumprod.numpy(), expected, rtol=1e-15)
