"""A checkpoint in memory: its networks and the noise schedule they were trained with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inkwash.checkpoint import FAMILIES
from inkwash.checkpoint.families import NUMBER_WIDTH, Number
from inkwash.checkpoint.spec import ModelSpec
from inkwash.core.estimates import unet_memory
from inkwash.core.request import VaeTiles
from inkwash.diffusion.noise_schedule import NoiseSchedule
from inkwash.diffusion.parametrization import denoised, scale_input
from inkwash.models import tiled_vae
from inkwash.models.text import TextEncoder
from inkwash.models.unet import UNet, timestep_embedding
from inkwash.models.vae import VAE
from inkwash.runtime.memory import available_memory
from inkwash.runtime.room import Room


@dataclass(frozen=True, eq=False)
class StableDiffusion:
    """The networks, on one device in one dtype.  Their weights are never written after loading.

    Everything that enters or leaves is float32 on ``device``; ``dtype`` is what is computed in between.
    """

    spec: ModelSpec
    texts: tuple[TextEncoder, ...]
    unet: UNet
    vae: VAE
    noise_schedule: NoiseSchedule
    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    low_res_schedule: NoiseSchedule | None = None  # of the noise over the x4 upscaler's small picture
    tiles: VaeTiles | None = None  # of the autoencoder; None: as memory wants
    limit: int | None = None  # bytes of memory the process may take

    @property
    def latent_factor(self) -> int:
        """Picture pixels a latent pixel: 8, and 4 for the x4 upscaler."""
        return int(2 ** (len(self.spec.vae.channels) - 1))

    @property
    def enlarges(self) -> int:
        """How many times a picture's side grows: the x4 upscaler sees one pixel a latent pixel.  1: not at all."""
        return self.latent_factor if self.spec.low_res else 1

    @torch.inference_mode()
    def encode_tokens(self, encoder: int, ids: Tensor, clip_skip: int, end: int) -> tuple[Tensor, Tensor | None]:
        """One chunk through one of the text encoders.  ids: (77,) int64.  end: index of the first end token.

        Returns the vectors (77, width), and the pooled text (projection,) of an encoder that has it.  Clip skip is for
        SD 1.x only: the others' U-Nets were trained on one layer, and A1111 has them read that one.
        """
        network = self.texts[encoder]
        vectors = network(ids[None].to(self.device), clip_skip if self.spec.family == "sd1" else 1)
        if not network.spec.projection:
            return vectors[0].float(), None
        pooled = network.pool(vectors, torch.tensor([end], device=self.device))
        return vectors[0].float(), pooled[0].float()

    def added(self, pooled: Tensor, numbers: Mapping[Number, float]) -> Tensor:
        """What SDXL is told beside the text: (P,) and the numbers of its family as sinusoids -> (P + 256 k,).

        numbers: the picture's original size, the corner it was cut at and its size now, in pixels; a refiner's
        aesthetic score.
        """
        told = torch.tensor([numbers[number] for number in FAMILIES[self.spec.family].numbers], device=pooled.device)
        return torch.cat([pooled, timestep_embedding(told, NUMBER_WIDTH).flatten()])

    @torch.inference_mode()
    def denoise(
        self,
        x: Tensor,
        sigmas: Sequence[float],
        context: Tensor,
        concat: Tensor | None,
        added: Tensor | None = None,
        noise_levels: Sequence[int] | None = None,
    ) -> Tensor:
        """One U-Net call.  x: (R, 4, h, w), each row at its own sigma, in the variance-exploding form x0 + sigma * eps.

        context: (R, M, D).  concat: (R, 5, h, w) for inpainting models, (R, 3, h, w) for the x4 upscaler, with the
        noise_levels of that small picture.  added: (R, added_width) for SDXL.  Returns the predicted x0, (R, 4, h, w).
        """
        sigma = torch.tensor(sigmas, dtype=torch.float32, device=self.device)
        t = torch.tensor([self.noise_schedule.t(s) for s in sigmas], dtype=torch.float32, device=self.device)
        model_input = scale_input(x, sigma)
        if concat is not None:
            model_input = torch.cat([model_input, concat], dim=1)
        model_input = model_input.to(self.dtype, memory_format=torch.channels_last)
        told = None if added is None else added.to(self.dtype)
        levels = None if noise_levels is None else torch.tensor(noise_levels, device=self.device)
        output = self.unet(model_input, t, context.to(self.dtype), told, levels).float()
        return denoised(output.contiguous(), x, sigma, self.spec.prediction)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """latents: (4, h, w), the U-Net's.  Returns a picture (3, H, W) in 0..1 on the CPU."""
        z = (latents[None] / self.spec.vae.scale_factor).to(self.vae_dtype, memory_format=torch.channels_last)
        tiles = self.tiles_for(latents.shape[1] * latents.shape[2] * self.latent_factor**2)
        picture = self.vae.decode(z) if tiles is None else tiled_vae.decode(self.vae, z, tiles, self._room())
        return (picture[0].float().cpu() / 2 + 0.5).clamp(0, 1)

    @torch.inference_mode()
    def encode(self, picture: Tensor) -> Tensor:
        """picture: (3, H, W) in 0..1.  Returns the mean of its latents, (4, h, w), the U-Net's."""
        x = (picture[None] * 2 - 1).to(self.device, self.vae_dtype, memory_format=torch.channels_last)
        tiles = self.tiles_for(picture.shape[1] * picture.shape[2])
        mean, _ = self.vae.encode(x) if tiles is None else tiled_vae.encode(self.vae, x, tiles, self._room())
        return mean[0].float().contiguous() * self.spec.vae.scale_factor

    def rows_for(self, pixels: int) -> int:
        """How many rows of latents of so many pixels one U-Net call may have, by the memory that is free."""
        one = unet_memory(pixels * self.latent_factor**2, 1, self.dtype, self.spec.unet.channels[0])
        return max(1, available_memory(self.device, self.limit) // max(one, 1))

    def tiles_for(self, pixels: int) -> VaeTiles | None:
        """How a picture of so many pixels is decoded and encoded; None: as a whole."""
        if self.tiles is not None:
            fast = tiled_vae.is_large(pixels) if self.tiles.fast is None else self.tiles.fast
            return dataclasses.replace(self.tiles, fast=fast)
        free = available_memory(self.device, self.limit)
        return tiled_vae.automatic(pixels, free, self.vae_dtype, self.spec.vae.channels[0])

    def _room(self) -> Room:
        """Half of the memory that is free is for maps; the rest is worked in."""
        host = available_memory(torch.device("cpu"), self.limit if self.device.type == "cpu" else None) // 2
        near = 0 if self.device.type == "cpu" else available_memory(self.device, self.limit) // 2
        return Room(self.device, self.vae_dtype, host, near)
