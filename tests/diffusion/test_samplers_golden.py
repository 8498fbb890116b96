"""Samplers no library on PyPI offers, against numbers that the programs they come from gave for the same input.

k-diffusion (DPM fast, DPM adaptive, DPM++ 2S a, DPM++ 3M SDE), A1111 (Restart) and ComfyUI (HeunPP2, IPNDM, IPNDM_V,
DEIS); all run in float64 on four elements, Karras sigmas from 14.6 to 0.03 and a fixed model and noise.
"""

from __future__ import annotations

import math

import pytest
import torch

from inkwash.diffusion.samplers.multistep import deis_integrals

# name: (options, steps, relative tolerance, draws, result)
GOLDEN = {
    "HeunPP2": ({}, 10, 1e-9, 0, (-0.9681461577, -0.3796632602, 0.6185938441, 1.0131443611)),
    "HeunPP2 churn": (
        {"s_churn": 4.0, "s_tmin": 0.1, "s_tmax": 9.0},
        10,
        1e-9,
        10,  # also where sigma is outside the range, as A1111 draws them
        (-0.6490565127, -0.2626379838, 0.3853952559, 0.7213996538),
    ),
    "IPNDM": ({}, 10, 1e-9, 0, (-0.9429888205, -0.4367786981, 0.6586685053, 0.9819512385)),
    "IPNDM_V": ({}, 10, 1e-9, 0, (-0.9521004259, -0.4264663176, 0.6552158802, 0.9920213271)),
    # ComfyUI integrates with a sum of 10,000 points in float32.
    "DEIS": ({}, 10, 1e-4, 0, (-0.9648633868, -0.4155965214, 0.6502387020, 1.0066764445)),
    "Restart few": ({}, 12, 1e-9, 0, (-0.9272180870, -0.4508827147, 0.6632767592, 0.9638209898)),
    "Restart once": ({}, 20, 1e-9, 1, (-0.3719235717, -0.7850736778, 0.8801917075, 0.7494704941)),
    "Restart twice": ({}, 40, 1e-9, 2, (-0.6194487028, 0.4235459860, -0.6607149384, 0.3504264520)),
    "Restart list": (
        {"restart_list": {0.3: (4, 2, 1.5)}},
        12,
        1e-9,
        2,
        (-0.7029524455, 0.2237824735, -0.4530781775, 0.5895900042),
    ),
    "DPM++ 3M SDE": (
        {"eta": 0.8, "s_noise": 1.02},
        10,
        1e-9,
        9,
        (-0.5472236327, -0.2676089794, 0.4058175472, 0.6226012230),
    ),
    "DPM++ 2S a": (
        {"eta": 0.8, "s_noise": 1.02},
        10,
        1e-9,
        9,
        (-0.6950436500, -0.3895917431, 0.5345399688, 0.7558369802),
    ),
    "DPM fast": ({}, 10, 1e-8, 0, (-1.1114989938, -0.3982844348, 0.6538045587, 1.1901436266)),
    "DPM fast noisy": ({"eta": 0.6}, 10, 1e-7, 3, (-0.9692942388, -0.6210962699, 0.8051105523, 1.0680623440)),
    "DPM adaptive": (
        {"pcoeff": 0.2, "icoeff": 0.7, "dcoeff": 0.1},
        10,
        1e-7,
        0,
        (-1.0376236622, -0.4194427926, 0.6562940608, 1.1020114660),
    ),
    "DPM adaptive noisy": (
        {"eta": 0.6, "pcoeff": 0.2, "icoeff": 0.7, "dcoeff": 0.1},
        10,
        1e-7,
        6,
        (-0.8788057440, -0.3063186276, 0.5212257328, 0.9347921754),
    ),
}


def model(x, sigma):
    return 0.8 * torch.tanh(x / math.sqrt(1 + float(sigma) ** 2)) + 0.3 * x / (1 + float(sigma) ** 2)


@pytest.mark.parametrize("case", GOLDEN)
def test_golden(drive, case):
    options, steps, tolerance, draws, expected = GOLDEN[case]
    name = next(n for n in ("HeunPP2", "Restart", "DPM fast", "DPM adaptive", case) if case.startswith(n))
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (14.6 ** (1 / 7) + ramp * (0.03 ** (1 / 7) - 14.6 ** (1 / 7))) ** 7
    sigmas = torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)])
    drawn = 0

    def noise(*_):
        nonlocal drawn
        drawn += 1
        return torch.tensor([0.3, -0.7, 1.1, 0.2], dtype=torch.float64) * (1 if drawn % 2 else -1)

    start = torch.tensor([-1.5, -0.2, 0.4, 1.9], dtype=torch.float64) * sigmas[0]
    result = drive(name, start, sigmas, model, noise, **options)
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float64), rtol=tolerance, atol=tolerance)
    assert drawn == draws


def test_deis_weights_are_the_papers_integrals():
    """tAB of arXiv:2204.13902: Lagrange polynomials in t, weighed with dsigma/dt, by adaptive quadrature."""
    from scipy.integrate import quad
    from scipy.optimize import brentq

    low, high = math.log(0.002**2 + 1), math.log(80.0**2 + 1)
    # beta(t) = first + slope t, so that log(sigma^2 + 1) = first t + slope t^2 / 2, fixed at t = 1e-3 and t = 1
    slope = (low / 1e-3 - high) / (1e-3 / 2 - 1 / 2)
    first = high - slope / 2
    sigma_of = lambda t: math.sqrt(math.expm1(first * t + slope * t * t / 2))  # noqa: E731
    t_of = lambda s: brentq(lambda t: sigma_of(t) - s, 1e-3, 1.0, xtol=1e-14)  # noqa: E731
    nodes = [3.0, 5.0, 9.0]
    times = [t_of(s) for s in nodes]

    def integrand(t, j):
        others = [u for k, u in enumerate(times) if k != j]
        basis = math.prod((t - u) / (times[j] - u) for u in others)
        return basis * (first + slope * t) * (sigma_of(t) ** 2 + 1) / (2 * sigma_of(t))

    expected = [quad(integrand, t_of(3.0), t_of(1.5), args=(j,), epsrel=1e-12)[0] for j in range(3)]
    assert deis_integrals(nodes, 3.0, 1.5) == pytest.approx(expected, rel=1e-8)
