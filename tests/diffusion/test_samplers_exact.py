"""Samplers against the exact solution of an analytic model, and their measured order of convergence."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from inkwash.core.errors import InvalidRequest
from inkwash.diffusion import SAMPLERS, SCHEDULES, NoiseSchedule, Prediction, ddim_timesteps
from inkwash.diffusion.parametrization import denoised as read_output
from inkwash.diffusion.parametrization import scale_input

# name -> (options that make it deterministic, order its global error must show at least)
ODE = {
    "Euler": ({}, 1),
    "Euler a": ({"eta": 0.0}, 1),
    "Heun": ({}, 2),
    "HeunPP2": ({}, 1),
    "DPM2": ({}, 2),
    "DPM2 a": ({"eta": 0.0}, 2),
    "DPM++ 2M": ({}, 2),
    "DPM++ 2S a": ({"eta": 0.0}, 2),
    "DPM++ SDE": ({"eta": 0.0}, 2),
    "DPM++ 2M SDE": ({"eta": 0.0}, 2),
    "DPM++ 2M SDE Heun": ({"eta": 0.0}, 2),
    "DPM++ 3M SDE": ({"eta": 0.0}, 2),
    "DPM fast": ({}, 3),
    "LMS": ({}, 2),
    "IPNDM": ({}, 1),
    "IPNDM_V": ({}, 2),
    "DEIS": ({}, 2),
    "PLMS": ({}, 1),
    "UniPC": ({"lower_order_final": False}, 3),
    "DDIM": ({}, 1),
    "DDIM CFG++": ({}, 1),
    "Restart": ({"restart_list": {}}, 2),
}
STOCHASTIC = ["Euler a", "DPM2 a", "DPM++ 2S a", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"]


def log_even(steps, high=10.0, low=0.1):
    return torch.logspace(math.log10(high), math.log10(low), steps + 1, dtype=torch.float64)


def error(drive, gaussian, name, options, sigmas):
    start = torch.linspace(-2, 2, 24, dtype=torch.float64).reshape(4, 3, 2) * sigmas[0]
    exact = gaussian.flow(start, float(sigmas[0]), float(sigmas[-1]))
    return float((drive(name, start, sigmas, gaussian, **options) - exact).abs().max())


def test_every_sampler_is_measured():
    assert set(ODE) | {"DPM adaptive", "LCM"} == set(SAMPLERS)


@pytest.mark.parametrize("name", ODE)
def test_order_of_convergence(drive, gaussian, name):
    options, order = ODE[name]
    coarse, fine = (error(drive, gaussian, name, options, log_even(n)) for n in (95, 191))
    assert fine < 0.02
    assert math.log2(coarse / fine) > order - 0.2


@pytest.mark.parametrize(("name", "order"), [("LMS", 4), ("IPNDM", 4), ("IPNDM_V", 3), ("PLMS", 4)])
def test_multistep_slope_is_exact_for_polynomials(drive, name, order):
    """On even steps a slope that is a polynomial of degree order - 1 in sigma is integrated exactly, once it is known.

    IPNDM_V's fourth weight is not Adams-Bashforth's, so it has one order less.
    """
    sigmas = torch.linspace(8.0, 1.0, 8, dtype=torch.float64)
    for degree in range(order):

        def model(x, sigma, degree=degree):
            return x - sigma * sigma**degree  # so that (x - denoised) / sigma = sigma ** degree

        after = [drive(name, torch.zeros(1, dtype=torch.float64), sigmas[:n], model) for n in (5, 8)]
        exact = (sigmas[7] ** (degree + 1) - sigmas[4] ** (degree + 1)) / (degree + 1)
        torch.testing.assert_close(after[1] - after[0], exact.reshape(1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("order", [2, 3])
def test_adaptive_keeps_its_tolerance(drive, gaussian, tolerance, order):
    options = {"rtol": tolerance, "atol": tolerance, "order": order}
    assert error(drive, gaussian, "DPM adaptive", options, log_even(2)) < 30 * tolerance


def test_adaptive_refuses_predictions_that_are_not_numbers(drive):
    with pytest.raises(Exception, match="not numbers"):
        drive("DPM adaptive", torch.ones(4), log_even(3), lambda x, sigma: x * math.nan)


@pytest.mark.parametrize("name", ODE)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 25])
def test_arrives_at_zero_and_above(drive, gaussian, name, steps):
    """Ends at the last sigma, finite for every number of steps, and near the exact picture when steps suffice."""
    options, _ = ODE[name]
    tail = torch.zeros(1, dtype=torch.float64)
    for sigmas in (torch.cat([log_even(steps - 1, low=0.02), tail]), log_even(steps, low=0.5)):
        result = error(drive, gaussian, name, options, sigmas)
        assert math.isfinite(result)
        if steps == 25:
            assert result < 0.6


@pytest.mark.parametrize("name", ["DPM++ 2M", "UniPC", "DDIM", "Euler", "LCM", "IPNDM", "DPM++ 3M SDE"])
def test_one_step_to_zero_is_the_denoised_picture(drive, gaussian, name):
    x = torch.randn(4, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 14
    sigmas = torch.tensor([14.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(drive(name, x, sigmas, gaussian), gaussian(x, sigmas[0]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*STOCHASTIC, "DPM fast", "DPM adaptive", "Restart", "DDIM", "LCM"])
def test_noise_gives_the_right_distribution(drive, gaussian, name):
    """Mean and spread of 8,000 samples; LCM's denoiser is no consistency function, so only its mean is the data's."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda *sigmas: torch.randn(8_000, generator=generator, dtype=torch.float64)  # noqa: E731
    sigmas = torch.cat([log_even(300, low=0.01), torch.zeros(1, dtype=torch.float64)])
    options = {"eta": 1.0} if "eta" in SAMPLERS[name].options else {}
    options |= {"rtol": 1e-3, "atol": 1e-3} if name == "DPM adaptive" else {}
    result = drive(name, gaussian.mean + draw() * sigmas[0], sigmas, gaussian, draw, **options)
    assert float(result.mean()) == pytest.approx(gaussian.mean, abs=0.03)
    if name != "LCM":
        assert float(result.std()) == pytest.approx(gaussian.std, rel=0.04)


@pytest.mark.parametrize("name", ["Euler", "Heun", "DPM2", "HeunPP2"])
def test_churn_keeps_the_distribution(drive, gaussian, name):
    generator = torch.Generator().manual_seed(2)
    draw = lambda *sigmas: torch.randn(8_000, generator=generator, dtype=torch.float64)  # noqa: E731
    sigmas = log_even(300, low=0.01)
    options = {"s_churn": 40.0, "s_tmin": 0.05, "s_tmax": 5.0}
    raised: list[float] = []
    result = drive(name, gaussian.mean + draw() * sigmas[0], sigmas, gaussian, draw, raised, **options)
    assert float(result.std()) == pytest.approx(gaussian.std, rel=0.04)
    gamma = 40.0 / 300
    assert any(math.isclose(sigma, float(sigmas[150]) * (1 + gamma)) for sigma in raised)
    assert float(sigmas[0]) in raised  # outside s_tmax nothing is raised


def test_lcm_noises_its_denoised_picture(drive, gaussian):
    """x = denoised + sigma_next * noise, by hand for two steps."""
    x, z = torch.tensor([3.0, -1.0], dtype=torch.float64), torch.tensor([0.3, 0.9], dtype=torch.float64)
    sigmas = torch.tensor([5.0, 2.0, 0.0], dtype=torch.float64)
    expected = gaussian(gaussian(x, sigmas[0]) + 2.0 * z, sigmas[1])
    torch.testing.assert_close(drive("LCM", x, sigmas, gaussian, lambda a, b: z), expected)


def test_cfgpp_takes_its_direction_from_uncond():
    """Equation of Algorithm 2, arXiv:2406.08070, in VP form: sqrt(a') x0_cfg + sqrt(1 - a') eps_uncond."""
    x, cfg, uncond = (torch.tensor([v], dtype=torch.float64) for v in (4.0, 1.0, -0.5))
    sigmas = torch.tensor([3.0, 1.2], dtype=torch.float64)
    steps = SAMPLERS["DDIM CFG++"](x, sigmas, lambda a, b: x)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(Prediction(cfg, uncond))
    a, a_next = (1 / (1 + sigmas**2)).tolist()
    eps = (x * math.sqrt(a) - math.sqrt(a) * uncond) / math.sqrt(1 - a)
    vp = math.sqrt(a_next) * cfg + math.sqrt(1 - a_next) * eps
    torch.testing.assert_close(end.value.value, vp / math.sqrt(a_next))

    steps = SAMPLERS["DDIM CFG++"](x, sigmas, lambda a, b: x)
    next(steps)
    with pytest.raises(InvalidRequest, match="unconditional"):
        steps.send(Prediction(cfg))


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_is_the_papers(drive, gaussian, eta):
    """Equations 12 and 16 of arXiv:2010.02502 in VP form, Stable Diffusion's levels."""
    schedule = NoiseSchedule.scaled_linear()
    sigmas = ddim_timesteps(8, schedule).double()
    g1, g2 = (torch.Generator().manual_seed(3) for _ in range(2))
    start = torch.randn(4, 3, 3, generator=g1, dtype=torch.float64)
    torch.randn(4, 3, 3, generator=g2, dtype=torch.float64)
    x = start
    for sigma, sigma_next in pairwise(sigmas):
        a, a_next = 1 / (1 + sigma**2), 1 / (1 + sigma_next**2)
        x0 = gaussian(x / a.sqrt(), sigma)
        eps = (x - a.sqrt() * x0) / (1 - a).sqrt()
        s = eta * ((1 - a_next) / (1 - a) * (1 - a / a_next)).sqrt()
        z = torch.randn(4, 3, 3, generator=g1, dtype=torch.float64)
        x = a_next.sqrt() * x0 + (1 - a_next - s**2).sqrt() * eps + s * z
    noise = lambda *_: torch.randn(4, 3, 3, generator=g2, dtype=torch.float64)  # noqa: E731
    ours = drive("DDIM", start * (1 + sigmas[0] ** 2).sqrt(), sigmas, gaussian, noise, eta=eta)
    torch.testing.assert_close(ours / (1 + sigmas[-1] ** 2).sqrt(), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_the_parametrisation_does_not_matter(drive, gaussian, name, prediction):
    """A network that speaks eps or v leads to the same picture as one that speaks x0.

    Its output is made here from the VP definitions: eps = (x_t - sqrt(a) x0) / sqrt(1 - a), v of arXiv:2202.00512.
    """

    def network(scaled, sigma):
        a = 1 / (1 + sigma**2)
        x0 = gaussian(scaled / a.sqrt(), sigma)
        eps = (scaled - a.sqrt() * x0) / (1 - a).sqrt()
        return {"x0": x0, "eps": eps, "v": a.sqrt() * eps - (1 - a).sqrt() * x0}[prediction]

    def through_network(x, sigma):
        return read_output(network(scale_input(x, sigma), sigma), x, sigma, prediction)

    x = torch.randn(4, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) * 14.6
    sigmas = SCHEDULES["Karras"](12, 0.03, 14.6)
    noise = lambda *_: torch.full((4, 3, 3), 0.1, dtype=torch.float64)  # noqa: E731
    expected = drive(name, x, sigmas, gaussian, noise)
    torch.testing.assert_close(drive(name, x, sigmas, through_network, noise), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_x_keeps_its_dtype_and_may_have_any_shape(drive, gaussian, name, dtype):
    x = torch.full((2, 5), 9.0, dtype=dtype)
    noise = lambda *_: torch.zeros(2, 5)  # noqa: E731  (float32, as PictureNoise draws)
    options = {"eta": 1.0} if "eta" in SAMPLERS[name].options else {}
    result = drive(name, x, SCHEDULES["Karras"](4, 0.1, 10.0), gaussian, noise, **options)
    assert result.dtype == dtype
    assert result.shape == x.shape
    assert torch.equal(x, torch.full((2, 5), 9.0, dtype=dtype))  # the caller's x is left alone
