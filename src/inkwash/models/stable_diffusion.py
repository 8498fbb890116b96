"""A checkpoint in memory: three networks and the noise schedule they were trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inkwash.checkpoint.spec import ModelSpec
from inkwash.diffusion.noise_schedule import NoiseSchedule
from inkwash.diffusion.parametrization import denoised, scale_input
from inkwash.models.text import TextEncoder
from inkwash.models.unet import UNet
from inkwash.models.vae import VAE


@dataclass(frozen=True, eq=False)
class StableDiffusion:
    """The networks, on one device in one dtype.  Their weights are never written after loading.

    Everything that enters or leaves is float32 on ``device``; ``dtype`` is what is computed in between.
    """

    spec: ModelSpec
    text: TextEncoder
    unet: UNet
    vae: VAE
    noise_schedule: NoiseSchedule
    device: torch.device
    dtype: torch.dtype

    @property
    def latent_factor(self) -> int:
        """Picture pixels a latent pixel, 8 for Stable Diffusion."""
        return int(2 ** (len(self.spec.vae.channels) - 1))

    @torch.inference_mode()
    def encode_tokens(self, ids: Tensor, clip_skip: int) -> Tensor:
        """ids: (77,) int64.  Returns (77, width)."""
        return self.text(ids[None].to(self.device), clip_skip)[0].float()

    @torch.inference_mode()
    def denoise(self, x: Tensor, sigmas: Sequence[float], context: Tensor, concat: Tensor | None) -> Tensor:
        """One U-Net call.  x: (R, 4, h, w), each row at its own sigma, in the variance-exploding form x0 + sigma * eps.

        context: (R, M, D).  concat: (R, 5, h, w) for inpainting models.  Returns the predicted x0, (R, 4, h, w).
        """
        sigma = torch.tensor(sigmas, dtype=torch.float32, device=self.device)
        t = torch.tensor([self.noise_schedule.t(s) for s in sigmas], dtype=torch.float32, device=self.device)
        model_input = scale_input(x, sigma)
        if concat is not None:
            model_input = torch.cat([model_input, concat], dim=1)
        model_input = model_input.to(self.dtype, memory_format=torch.channels_last)
        output = self.unet(model_input, t, context.to(self.dtype)).float()
        return denoised(output.contiguous(), x, sigma, self.spec.prediction)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """latents: (4, h, w), the U-Net's.  Returns a picture (3, H, W) in 0..1 on the CPU."""
        z = latents[None] / self.spec.vae.scale_factor
        picture = self.vae.decode(z.to(self.dtype, memory_format=torch.channels_last))[0]
        return (picture.float().cpu() / 2 + 0.5).clamp(0, 1)

    @torch.inference_mode()
    def encode(self, picture: Tensor) -> Tensor:
        """picture: (3, H, W) in 0..1.  Returns the mean of its latents, (4, h, w), the U-Net's."""
        x = (picture[None] * 2 - 1).to(self.device, self.dtype, memory_format=torch.channels_last)
        mean, _ = self.vae.encode(x)
        return mean[0].float().contiguous() * self.spec.vae.scale_factor
