"""The Brownian tree against torchsde, and its own laws."""

from __future__ import annotations

import warnings
from itertools import pairwise

import pytest
import torch
import torchsde

from inkwash.diffusion import SCHEDULES, PictureNoise

SHAPE = (4, 6, 5)


@pytest.mark.parametrize("seed", [0, 42, 2**32 - 1])
def test_equals_torchsde(seed):
    """The increments every program based on k-diffusion draws: torchsde's tree, sign and scale included."""
    sigmas = SCHEDULES["Karras"](12, 0.0292, 14.6146)
    low, high = float(sigmas[-2]), float(sigmas[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = torchsde.BrownianTree(low, torch.zeros(SHAPE), high, entropy=seed)
        noise = PictureNoise(SHAPE, seed).brownian(low, high)
        for sigma, sigma_next in pairwise(sigmas[:-1]):
            expected = -tree(float(sigma_next), float(sigma)) / (sigma - sigma_next).sqrt()
            torch.testing.assert_close(noise(sigma, sigma_next), expected, rtol=1e-4, atol=2e-5)


def test_order_of_questions_does_not_matter():
    times = [14.0, 9.0, 3.3, 1.0, 0.2]
    pairs = list(pairwise(times))
    ahead = PictureNoise(SHAPE, 1).brownian(0.1, 14.0)
    back = PictureNoise(SHAPE, 1).brownian(0.1, 14.0)
    forward = [ahead(*map(torch.tensor, pair)) for pair in pairs]
    backward = [back(*map(torch.tensor, pair)) for pair in reversed(pairs)]
    assert all(torch.equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))


def test_increments_add_up():
    noise = PictureNoise(SHAPE, 1).brownian(0.1, 14.0)
    a, b, c = torch.tensor(10.0), torch.tensor(4.0), torch.tensor(1.0)
    whole = noise(a, c) * 3.0
    torch.testing.assert_close(noise(a, b) * 6**0.5 + noise(b, c) * 3**0.5, whole, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(noise(c, a), -noise(a, c))


def test_unit_variance_and_independence():
    noise = PictureNoise((4, 64, 64), 5).brownian(0.03, 14.6)
    steps = [noise(torch.tensor(a), torch.tensor(b)) for a, b in [(14.6, 5.0), (5.0, 0.5), (0.5, 0.4), (0.4, 0.03)]]
    for step in steps:
        assert step.dtype == torch.float32
        assert float(step.std()) == pytest.approx(1, abs=0.03)
        assert float(step.mean()) == pytest.approx(0, abs=0.03)
    for first, second in pairwise(steps):
        assert abs(float((first * second).mean())) < 0.03


@pytest.mark.parametrize("source", ["CPU", "NV"])
def test_every_picture_has_its_own_path(source):
    a, b = torch.tensor(5.0), torch.tensor(2.0)
    paths = [PictureNoise(SHAPE, seed, source=source).brownian(0.1, 14.0)(a, b) for seed in (1, 2, 1)]
    assert torch.equal(paths[0], paths[2])
    assert not torch.equal(paths[0], paths[1])


def test_at_the_ends_of_the_range():
    """Float32 sigmas may lie a hair outside the range; nothing is lost or NaN."""
    noise = PictureNoise(SHAPE, 1).brownian(0.03, 14.6)
    assert torch.isfinite(noise(torch.tensor(14.600001), torch.tensor(0.029999))).all()
