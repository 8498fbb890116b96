"""Samplers against diffusers' schedulers, an independent implementation: same sigmas, same model, same noise."""

from __future__ import annotations

import diffusers
import pytest
import torch

from inkwash.diffusion import PictureNoise, ddim_timesteps

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own: NumPy 2 deprecations, torchsde's rounding

BETAS = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SHAPE = (1, 4, 6, 5)
KARRAS = {"use_karras_sigmas": True}
MULTI = {"algorithm_type": "dpmsolver++", "solver_order": 2, "lower_order_final": False}
SDE = {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, "lower_order_final": False}
DDIM = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}


def model(x, sigma):
    """Nonlinear, and different in every channel."""
    sigma = float(sigma)
    gain = torch.tensor([0.9, 0.4, -0.3, 1.2], dtype=x.dtype).reshape(4, 1, 1)
    return 0.8 * torch.tanh(gain * x / (1 + sigma**2) ** 0.5) + 0.4 * x.roll(1, -3) / (1 + sigma**2)


def network(x, sigma, prediction):
    """What a network that speaks ``prediction`` says about VE latents x."""
    a = 1 / (1 + float(sigma) ** 2)
    x0 = model(x, sigma)
    eps = (x - x0) / float(sigma)
    return eps if prediction == "epsilon" else a**0.5 * eps - (1 - a) ** 0.5 * x0


def reference(scheduler, start, prediction, vp, levels, generator=None):
    """diffusers' loop.  levels: the sigma of each of its timesteps.  Returns VE latents."""
    scale = (1 + levels[0] ** 2) ** 0.5
    x = start / scale if vp else start
    for t, sigma in zip(scheduler.timesteps, levels, strict=True):
        scale = (1 + sigma**2) ** 0.5 if vp else 1.0
        scheduler.scale_model_input(x, t)
        output = network(x * scale, sigma, prediction)
        extra = {"generator": generator} if generator is not None else {}
        x = scheduler.step(output, t, x, **extra).prev_sample
    return x


def normal(seed, shape=SHAPE):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SIGMA_SCHEDULERS = {
    "Euler": ("EulerDiscreteScheduler", KARRAS, False),
    "Heun": ("HeunDiscreteScheduler", KARRAS, False),
    "DPM2": ("KDPM2DiscreteScheduler", KARRAS, False),
    "LMS": ("LMSDiscreteScheduler", KARRAS, False),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", KARRAS | MULTI, True),
}


def two_a_step(sigmas, points):
    """(schedule, sigmas asked at) of schedulers that list every sigma twice and ask at ``points(a, b)`` too."""
    schedule = torch.cat([sigmas[:1], sigmas[1::2]])
    schedule = schedule[: int((schedule > 0).sum()) + 1]
    asked = []
    for sigma, sigma_next in zip(schedule[:-1].tolist(), schedule[1:].tolist(), strict=True):
        asked += [sigma] + ([points(sigma, sigma_next)] if sigma_next > 0 else [])
    return schedule, asked


def halfway(sigma, sigma_next):
    return (sigma * sigma_next) ** 0.5


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", SIGMA_SCHEDULERS)
def test_deterministic(drive, name, prediction):
    kind, options, vp = SIGMA_SCHEDULERS[name]
    scheduler = getattr(diffusers, kind)(**BETAS, **options, prediction_type=prediction)
    scheduler.set_timesteps(9)
    schedule = scheduler.sigmas.double()
    levels = schedule[:-1].tolist()
    if name in ("Heun", "DPM2"):
        schedule, levels = two_a_step(schedule, halfway if name == "DPM2" else lambda _, sigma_next: sigma_next)
    start = normal(0) * levels[0]
    theirs = reference(scheduler, start, prediction, vp, levels)
    ours = drive(name, start, schedule, model)
    torch.testing.assert_close(ours, theirs.double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_euler_ancestral(drive, prediction):
    scheduler = diffusers.EulerAncestralDiscreteScheduler(**BETAS, prediction_type=prediction)
    scheduler.set_timesteps(9)
    sigmas = scheduler.sigmas.double()
    start = normal(0) * float(sigmas[0])
    theirs = reference(scheduler, start, prediction, False, sigmas[:-1].tolist(), torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(7)
    noise = lambda *_: torch.randn(SHAPE, generator=generator, dtype=torch.float64)  # noqa: E731
    torch.testing.assert_close(drive("Euler a", start, sigmas, model, noise), theirs, rtol=1e-4, atol=1e-4)


def test_dpm2_ancestral(drive):
    """It asks at sigma and halfway to sigma_down = sigma_next^2 / sigma, that is at sigma_next."""
    scheduler = diffusers.KDPM2AncestralDiscreteScheduler(**BETAS, **KARRAS)
    scheduler.set_timesteps(9)
    schedule, levels = two_a_step(scheduler.sigmas.double(), lambda _, sigma_next: sigma_next)
    start = normal(0) * levels[0]
    theirs = reference(scheduler, start, "epsilon", False, levels, _generator(7))
    generator = _generator(7)
    noise = lambda *_: torch.randn(SHAPE, generator=generator, dtype=torch.float64)  # noqa: E731
    torch.testing.assert_close(drive("DPM2 a", start, schedule, model, noise), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "solver"), [("DPM++ 2M SDE", "midpoint"), ("DPM++ 2M SDE Heun", "heun")])
def test_dpmpp_2m_sde(drive, name, solver):
    scheduler = diffusers.DPMSolverMultistepScheduler(**BETAS, **KARRAS, **SDE, solver_type=solver)
    scheduler.set_timesteps(9)
    sigmas = scheduler.sigmas.double()
    start = normal(0) * float(sigmas[0])
    theirs = reference(scheduler, start, "epsilon", True, sigmas[:-1].tolist(), _generator(7))
    generator = _generator(7)
    noise = lambda *_: torch.randn(SHAPE, generator=generator, dtype=torch.float32)  # noqa: E731
    torch.testing.assert_close(drive(name, start, sigmas, model, noise), theirs, rtol=1e-4, atol=1e-4)


def test_dpmpp_sde_with_its_brownian_path(drive):
    """Sampler and Brownian tree together: the same seed gives the same picture as through torchsde."""
    scheduler = diffusers.DPMSolverSDEScheduler(**BETAS, **KARRAS, noise_sampler_seed=42)
    scheduler.set_timesteps(9)
    schedule, asked = two_a_step(scheduler.sigmas.double(), halfway)
    start = normal(0).float() * asked[0]
    theirs = reference(scheduler, start, "epsilon", False, asked)
    noise = PictureNoise(SHAPE[1:], 42).brownian(float(schedule[-2]), float(schedule[0]))
    ours = drive("DPM++ SDE", start[0], schedule, model, noise)
    # Where a time falls on the tree's grid of 1e-6 hangs on float32 rounding of the midpoints.
    torch.testing.assert_close(ours, theirs[0].float(), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("variant", "last"), [("bh1", "sigma_min"), ("bh2", "sigma_min"), ("bh2", "zero")])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc(drive, order, variant, last, prediction):
    """diffusers' bh1 is infinity * 0 for a last sigma of 0, so that pair is left out."""
    options = {"solver_order": order, "solver_type": variant, "final_sigmas_type": last}
    scheduler = diffusers.UniPCMultistepScheduler(**BETAS, **KARRAS, **options, prediction_type=prediction)
    scheduler.set_timesteps(9)
    sigmas = scheduler.sigmas.double()
    start = normal(0) * float(sigmas[0])
    theirs = reference(scheduler, start, prediction, True, sigmas[:-1].tolist())
    ours = drive("UniPC", start, sigmas, model, order=order, variant=variant)
    theirs = theirs * (1 + float(sigmas[-1]) ** 2) ** 0.5
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("steps", [1, 7, 10, 30])
def test_ddim(drive, steps, prediction):
    scheduler = diffusers.DDIMScheduler(**BETAS, **DDIM, prediction_type=prediction)
    scheduler.set_timesteps(steps)
    sigmas = ddim_timesteps(steps).double()
    levels = [((1 - a) / a) ** 0.5 for a in scheduler.alphas_cumprod.double()[scheduler.timesteps].tolist()]
    torch.testing.assert_close(sigmas[:-1], torch.tensor(levels, dtype=torch.float64), rtol=1e-4, atol=0)
    start = normal(0) * float(sigmas[0])
    theirs = reference(scheduler, start, prediction, True, levels)
    ours = drive("DDIM", start, sigmas, model) / (1 + sigmas[-1] ** 2) ** 0.5
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_plms(drive):
    options = {"skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1}
    scheduler = diffusers.PNDMScheduler(**BETAS, **options)
    scheduler.set_timesteps(10)
    sigmas = ddim_timesteps(10).double()
    levels = [((1 - a) / a) ** 0.5 for a in scheduler.alphas_cumprod.double()[scheduler.timesteps].tolist()]
    start = normal(0) * float(sigmas[0])
    theirs = reference(scheduler, start, "epsilon", True, levels)
    ours = drive("PLMS", start, sigmas, model) / (1 + sigmas[-1] ** 2) ** 0.5
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_lcm(drive):
    """diffusers mixes in the noisy picture at small times; with times above 200 its share is below 1e-7."""
    scheduler = diffusers.LCMScheduler(**BETAS, set_alpha_to_one=False, clip_sample=False, timestep_scaling=1000.0)
    scheduler.set_timesteps(4)
    levels = [((1 - a) / a) ** 0.5 for a in scheduler.alphas_cumprod.double()[scheduler.timesteps].tolist()]
    start = normal(0) * levels[0]
    theirs = reference(scheduler, start, "epsilon", True, levels, _generator(7))
    generator = _generator(7)
    noise = lambda *_: torch.randn(SHAPE, generator=generator, dtype=torch.float64)  # noqa: E731
    sigmas = torch.tensor([*levels, 0.0], dtype=torch.float64)
    torch.testing.assert_close(drive("LCM", start, sigmas, model, noise), theirs, rtol=1e-4, atol=1e-4)


def _generator(seed):
    return torch.Generator().manual_seed(seed)
