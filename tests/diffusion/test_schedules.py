"""Every schedule against its formula, written out here, or against diffusers."""

from __future__ import annotations

import math

import diffusers
import numpy as np
import pytest
import torch

from inkwash.core.errors import InvalidRequest
from inkwash.diffusion import SCHEDULES, NoiseSchedule, ddim_timesteps
from inkwash.diffusion.schedules import lcm_timesteps, unipc_timesteps

LABELS = """Uniform; Karras; Exponential; Polyexponential; SGM Uniform; KL Optimal; Align Your Steps; Simple; Normal;
DDIM; Beta"""
BETAS = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SD = np.sqrt(1 / np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2) - 1)  # ascending sigmas
LOW, HIGH = float(SD[0]), float(SD[-1])


def trained(times):
    return np.exp(np.interp(times, np.arange(1000), np.log(SD)))


def fraction(i, n):
    return i / (n - 1) if n > 1 else 0.0


def karras(n):
    return [(HIGH ** (1 / 7) + fraction(i, n) * (LOW ** (1 / 7) - HIGH ** (1 / 7))) ** 7 for i in range(n)]


def align_your_steps(n):
    levels = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
    places = [fraction(i, n) * 10 for i in range(n)]
    low = [min(int(p), 9) for p in places]
    return [levels[k] ** (1 - (p - k)) * levels[k + 1] ** (p - k) for p, k in zip(places, low, strict=True)]


def beta(n):
    from scipy import stats

    return [LOW + stats.beta.ppf(1 - fraction(i, n), 0.6, 0.6) * (HIGH - LOW) for i in range(n)]


FORMULAS = {
    "Uniform": lambda n: trained(np.linspace(999, 0, n)),
    "Normal": lambda n: trained(np.linspace(999, 0, n)),
    "Karras": karras,
    "Exponential": lambda n: [HIGH * (LOW / HIGH) ** fraction(i, n) for i in range(n)],
    "Polyexponential": lambda n: [LOW * (HIGH / LOW) ** (1 - fraction(i, n)) for i in range(n)],
    "SGM Uniform": lambda n: trained(np.linspace(999, 0, n + 1)[:-1]),
    "KL Optimal": lambda n: [
        math.tan((1 - fraction(i, n)) * math.atan(HIGH) + fraction(i, n) * math.atan(LOW)) for i in range(n)
    ],
    "Align Your Steps": align_your_steps,
    "Simple": lambda n: [SD[-(1 + int(i * 1000 / n))] for i in range(n)],
    "DDIM": lambda n: [SD[i] for i in range(1, 1000, 1000 // n)][::-1],
    "Beta": beta,
}


def test_every_label_of_a1111_is_here():
    assert list(SCHEDULES) == [label.strip() for label in LABELS.replace("\n", " ").split(";")]
    assert set(FORMULAS) == set(SCHEDULES)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 11, 20, 33])
@pytest.mark.parametrize("name", SCHEDULES)
def test_formula(name, steps):
    sigmas = SCHEDULES[name](steps, LOW, HIGH)
    expected = torch.tensor([*FORMULAS[name](steps), 0.0], dtype=torch.float32)
    torch.testing.assert_close(sigmas, expected, rtol=3e-6, atol=0)


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 100])
@pytest.mark.parametrize("name", SCHEDULES)
def test_contract(name, steps):
    """1-D float32, strictly descending, last 0; DDIM's number of levels is A1111's."""
    sigmas = SCHEDULES[name](steps, 0.0292, 14.6146)
    assert sigmas.dtype == torch.float32
    assert sigmas.shape == (steps + 1,)
    assert float(sigmas[-1]) == 0
    assert bool((sigmas[:-1] > sigmas[1:]).all())


@pytest.mark.parametrize("kind", ["karras", "exponential", "beta"])
def test_diffusers_agree(kind):
    scheduler = diffusers.EulerDiscreteScheduler(**BETAS, **{f"use_{kind}_sigmas": True})
    scheduler.set_timesteps(15)
    sigmas = SCHEDULES[kind.capitalize()](15, LOW, HIGH)
    torch.testing.assert_close(sigmas, scheduler.sigmas, rtol=2e-4, atol=1e-6)


def test_diffusers_agree_on_uniform():
    """diffusers interpolates sigma where k-diffusion takes log sigma; they meet on whole levels: 37 * 27 = 999."""
    scheduler = diffusers.EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(28)
    torch.testing.assert_close(SCHEDULES["Uniform"](28, LOW, HIGH), scheduler.sigmas, rtol=1e-4, atol=1e-6)


def test_range_and_rho_are_honoured():
    for name in ("Normal", "Karras", "Exponential", "Polyexponential", "KL Optimal", "Beta"):
        sigmas = SCHEDULES[name](6, 0.1, 10.0)
        assert float(sigmas[0]) == pytest.approx(10.0, rel=1e-5)
        assert float(sigmas[-2]) == pytest.approx(0.1, rel=1e-5)
    expected = [(10 ** (1 / 3) + i / 5 * (0.1 ** (1 / 3) - 10 ** (1 / 3))) ** 3 for i in range(6)]
    assert SCHEDULES["Karras"](6, 0.1, 10.0, rho=3.0)[:-1].tolist() == pytest.approx(expected, rel=1e-6)
    expected = [0.1 * 100 ** ((1 - i / 5) ** 2) for i in range(6)]
    assert SCHEDULES["Polyexponential"](6, 0.1, 10.0, rho=2.0)[:-1].tolist() == pytest.approx(expected, rel=1e-6)


def test_another_models_levels():
    levels = NoiseSchedule.linear(steps=500)
    sigmas = SCHEDULES["Simple"](5, levels.sigma_min, levels.sigma_max, noise_schedule=levels)
    torch.testing.assert_close(sigmas[:-1].double(), levels.sigmas[[499, 399, 299, 199, 99]], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("steps", "low", "high"), [(0, 0.1, 10), (-3, 0.1, 10), (5, 0, 10), (5, 10, 10), (5, 12, 10)])
def test_nonsense_is_refused(steps, low, high):
    for schedule in SCHEDULES.values():
        with pytest.raises(InvalidRequest):
            schedule(steps, low, high)


def test_more_steps_than_levels_are_refused():
    for name in ("Simple", "DDIM"):
        with pytest.raises(InvalidRequest, match="do not fit"):
            SCHEDULES[name](1001, LOW, HIGH)
    for steps in (0, 1000):
        with pytest.raises(InvalidRequest):
            ddim_timesteps(steps)


@pytest.mark.parametrize("steps", [1, 10, 20, 30, 999])
def test_ddims_own_levels(steps):
    """diffusers' DDIM with steps_offset 1 and its own last alpha."""
    scheduler = diffusers.DDIMScheduler(**BETAS, set_alpha_to_one=False, steps_offset=1)
    scheduler.set_timesteps(steps)
    expected = torch.tensor([*SD[scheduler.timesteps.numpy()], SD[0]], dtype=torch.float32)
    torch.testing.assert_close(ddim_timesteps(steps), expected, rtol=1e-6, atol=0)


def test_unipcs_own_levels():
    """Even times on 0 .. 999, log alpha linear in between."""
    logs = 0.5 * np.log(1 / (1 + SD**2))
    alphas = np.exp(np.interp(np.linspace(999, 0, 8), np.arange(1000), logs))
    expected = np.sqrt(1 - alphas**2) / alphas
    np.testing.assert_allclose(unipc_timesteps(7).numpy(), expected, rtol=1e-6)


def test_lcms_own_levels():
    """50 distilled levels 999, 979, ..., 19; with 50 steps all of them."""
    expected = torch.tensor([*SD[np.arange(999, 0, -20)], 0.0], dtype=torch.float32)
    torch.testing.assert_close(lcm_timesteps(50), expected, rtol=1e-6, atol=0)
    assert lcm_timesteps(1).tolist() == pytest.approx([HIGH, 0.0], rel=1e-6)
