"""From noise to a picture, as numbers: schedules, samplers, noise and guidance.  Tensors only, no model."""

from inkwash.diffusion.guidance import Guidance
from inkwash.diffusion.noise import NoiseSource, PictureNoise
from inkwash.diffusion.noise_schedule import STABLE_DIFFUSION, NoiseSchedule
from inkwash.diffusion.prediction import Prediction
from inkwash.diffusion.samplers import SAMPLERS, Sampler, resolve
from inkwash.diffusion.schedules import SCHEDULES, Schedule, ddim_timesteps, resolve_schedule

__all__ = [
    "SAMPLERS",
    "SCHEDULES",
    "STABLE_DIFFUSION",
    "Guidance",
    "NoiseSchedule",
    "NoiseSource",
    "PictureNoise",
    "Prediction",
    "Sampler",
    "Schedule",
    "ddim_timesteps",
    "resolve",
    "resolve_schedule",
]
