"""Guidance against the papers' equations, diffusers' rescaling, and A1111's rules for leaving rows out."""

from __future__ import annotations

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

from inkwash.diffusion.guidance import Guidance


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 6, 5, generator=generator, dtype=torch.float64) for _ in range(3)]


def test_one_prompt(rows):
    cond, uncond, _ = rows
    prediction = Guidance(scale=7.5).combine([(cond, 1.0)], uncond)
    torch.testing.assert_close(prediction.denoised, uncond + 7.5 * (cond - uncond))
    assert prediction.uncond is uncond


def test_and(rows):
    a, b, uncond = rows
    prediction = Guidance(scale=5.0).combine([(a, 1.0), (b, -0.4)], uncond)
    torch.testing.assert_close(prediction.denoised, uncond + 5 * (a - uncond) - 2 * (b - uncond))


def test_scale_0_is_unconditional(rows):
    cond, uncond, _ = rows
    guidance = Guidance(scale=0.0, ngms=10.0, ngms_all=True, skip_early=0.5)
    assert not guidance.needs_cond(1.0, 3, 10)
    assert guidance.needs_uncond(1.0, 3, 10)
    assert torch.equal(guidance.combine([(cond, 1.0)], uncond).denoised, uncond)
    assert torch.equal(guidance.combine([], uncond).denoised, uncond)


def test_scale_1_needs_no_unconditional_row(rows):
    cond, uncond, _ = rows
    guidance = Guidance(scale=1.0)
    assert not guidance.needs_uncond(1.0, 0, 10)
    assert torch.equal(guidance.combine([(cond, 1.0)], None).denoised, cond)
    assert torch.equal(guidance.combine([(cond, 1.0)], uncond).denoised, cond)


def test_scale_1_with_several_prompts(rows):
    """The row cancels out exactly when the weights sum to 1."""
    a, b, uncond = rows
    guidance = Guidance(scale=1.0)
    assert guidance.needs_uncond(1.0, 0, 10, (1.0, 0.5))
    assert not guidance.needs_uncond(1.0, 0, 10, (0.75, 0.25))
    halves = [(a, 0.75), (b, 0.25)]
    torch.testing.assert_close(guidance.combine(halves, None).denoised, guidance.combine(halves, uncond).denoised)


@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("phi", [0.0, 0.3, 1.0])
def test_rescale_equals_diffusers(rows, phi, prediction):
    """diffusers rescales the network's output; outputs are made here from their definitions."""
    cond, uncond, x = rows
    sigma = 2.5
    a = 1 / (1 + sigma**2)

    def output(x0):
        eps = (x - x0) / sigma
        return eps if prediction == "eps" else a**0.5 * eps - (1 - a) ** 0.5 * x0

    out = output(uncond) + 7 * (output(cond) - output(uncond))
    out = rescale_noise_cfg(out[None], output(cond)[None], guidance_rescale=phi)[0]
    expected = x - sigma * out if prediction == "eps" else a * x - (1 - a) ** 0.5 * out
    ours = Guidance(scale=7.0, rescale=phi).combine(
        [(cond, 1.0)], uncond, prediction=prediction, x=x, sigma=torch.tensor(sigma)
    )
    torch.testing.assert_close(ours.denoised, expected, rtol=1e-6, atol=1e-6)


def test_rescale_of_the_picture_itself(rows):
    """Equations 15 and 16 of arXiv:2305.08891 on the denoised picture: full rescaling restores the spread."""
    cond, uncond, _ = rows
    full = Guidance(scale=9.0, rescale=1.0).combine([(cond, 1.0)], uncond).denoised
    assert float(full.std()) == pytest.approx(float(cond.std()))
    guided = uncond + 9 * (cond - uncond)
    part = Guidance(scale=9.0, rescale=0.7).combine([(cond, 1.0)], uncond).denoised
    torch.testing.assert_close(part, 0.7 * full + 0.3 * guided)


def test_rescale_of_an_output_needs_x_and_sigma(rows):
    cond, uncond, _ = rows
    with pytest.raises(ValueError, match="needs x and sigma"):
        Guidance(scale=7.0, rescale=0.5).combine([(cond, 1.0)], uncond, prediction="v")


def test_interval():
    guidance = Guidance(scale=7.0, start=0.2, end=0.6)
    assert [guidance.at(1.0, i, 10) for i in range(10)] == [1.0] * 2 + [7.0] * 4 + [1.0] * 4
    assert [guidance.needs_uncond(1.0, i, 10) for i in (0, 2, 6)] == [False, True, False]
    assert Guidance(scale=7.0).at(1.0, 12, 10) == 7.0  # more calls than expected: DPM adaptive


def test_ngms_drops_odd_calls_below_its_sigma():
    guidance = Guidance(scale=7.0, ngms=2.0)
    assert [guidance.at(sigma, i, 10) for i, sigma in enumerate([5.0, 3.0, 1.9, 1.0, 0.5, 0.1])] == [7, 7, 7, 1, 7, 1]
    every = Guidance(scale=7.0, ngms=2.0, ngms_all=True)
    assert [every.at(sigma, i, 10) for i, sigma in enumerate([5.0, 2.0, 1.9, 1.0])] == [7, 7, 1, 1]


def test_skip_early_counts_its_border_in():
    """A1111: calls with index / total <= fraction; 0 is off and does not drop the first call."""
    guidance = Guidance(scale=7.0, skip_early=0.2)
    assert [guidance.at(1.0, i, 10) for i in range(5)] == [1, 1, 1, 7, 7]
    assert Guidance(scale=7.0).at(1.0, 0, 10) == 7


def test_a_row_left_out_follows_the_first_prompt(rows):
    """A1111 puts the first prompt in the unconditional's place and uses scale 1."""
    a, b, _ = rows
    prediction = Guidance(scale=7.0).combine([(a, 1.0), (b, 0.5)], None)
    torch.testing.assert_close(prediction.denoised, a + 0.5 * (b - a))
    assert prediction.uncond is None


def test_resting_guidance_with_uncond_at_hand(rows):
    """CFG++ always asks for uncond; the scale of a resting call is 1 all the same."""
    cond, uncond, _ = rows
    guidance = Guidance(scale=7.0, end=0.5)
    prediction = guidance.combine([(cond, 1.0)], uncond, scale=guidance.at(1.0, 8, 10))
    assert torch.equal(prediction.denoised, cond)
    assert prediction.uncond is uncond
