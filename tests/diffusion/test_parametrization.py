"""eps, v and x0 against diffusers' conversions, and the two directions against each other."""

from __future__ import annotations

import diffusers
import pytest
import torch

from inkwash.diffusion import STABLE_DIFFUSION
from inkwash.diffusion.parametrization import (
    add_noise,
    denoised,
    min_snr_weight,
    output,
    scale_input,
    snr,
    target,
)

BETAS = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
TYPES = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(3, 4, 5, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    return x0, noise, torch.tensor([0, 421, 999])


@pytest.mark.parametrize("prediction", TYPES)
def test_training_equals_diffusers(batch, prediction):
    x0, noise, t = batch
    theirs = diffusers.DDPMScheduler(**BETAS)
    torch.testing.assert_close(
        add_noise(x0, noise, t, STABLE_DIFFUSION), theirs.add_noise(x0, noise, t), rtol=1e-4, atol=1e-5
    )
    expected = {"eps": noise, "v": theirs.get_velocity(x0, noise, t), "x0": x0}[prediction]
    torch.testing.assert_close(target(x0, noise, t, STABLE_DIFFUSION, prediction), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prediction", TYPES)
def test_sampling_undoes_training(batch, prediction):
    """A network that hits the training target exactly has seen the clean picture, for a batch and for one sigma."""
    x0, noise, t = batch
    sigmas = STABLE_DIFFUSION.sigmas[t]
    x = x0 + noise * sigmas.reshape(-1, 1, 1, 1)
    torch.testing.assert_close(scale_input(x, sigmas), add_noise(x0, noise, t, STABLE_DIFFUSION))
    answer = target(x0, noise, t, STABLE_DIFFUSION, prediction)
    torch.testing.assert_close(denoised(answer, x, sigmas, prediction), x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(output(x0, x, sigmas, prediction), answer, rtol=1e-9, atol=1e-9)
    for row in range(3):
        for sigma in (float(sigmas[row]), sigmas[row]):
            torch.testing.assert_close(denoised(answer[row], x[row], sigma, prediction), x0[row], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_reading_an_answer_equals_diffusers(batch, prediction):
    x0, noise, _ = batch
    scheduler = diffusers.EulerDiscreteScheduler(**BETAS, prediction_type=TYPES[prediction], timestep_spacing="leading")
    scheduler.set_timesteps(10)
    sigma = float(scheduler.sigmas[0])
    theirs = scheduler.step(noise, scheduler.timesteps[0], x0 * sigma).pred_original_sample
    torch.testing.assert_close(denoised(noise, x0 * sigma, sigma, prediction), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_kept(dtype):
    x = torch.ones(2, 4, 3, 3, dtype=dtype)
    for sigma in (2.0, torch.tensor(2.0, dtype=torch.float64), torch.tensor([2.0, 3.0], dtype=torch.float64)):
        assert scale_input(x, sigma).dtype == dtype
        assert all(denoised(x, x, sigma, p).dtype == dtype for p in TYPES)
    assert add_noise(x, x, torch.tensor([3, 5]), STABLE_DIFFUSION).dtype == dtype


def test_snr_and_min_snr():
    """arXiv:2303.09556: SNR = a / (1 - a) = 1 / sigma^2; weights min(SNR, 5) / SNR for eps, / (SNR + 1) for v."""
    t = torch.tensor([10, 500, 990])
    ratio = 1 / STABLE_DIFFUSION.sigmas[t] ** 2
    torch.testing.assert_close(snr(t, STABLE_DIFFUSION), ratio)
    capped = torch.tensor([min(float(r), 5.0) for r in ratio], dtype=torch.float64)
    assert float(ratio[0]) > 5 > float(ratio[1])
    torch.testing.assert_close(min_snr_weight(t, STABLE_DIFFUSION, "x0"), capped)
    torch.testing.assert_close(min_snr_weight(t, STABLE_DIFFUSION, "eps"), capped / ratio)
    torch.testing.assert_close(min_snr_weight(t, STABLE_DIFFUSION, "v"), capped / (ratio + 1))
