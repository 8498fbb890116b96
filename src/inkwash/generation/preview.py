"""Small pictures of what the model believes on the way: the VAE's own where that costs little, else a linear guess.

Latents are nearly an image already: each pixel's colour is close to a linear function of its latent values.  That
function is fitted once a VAE, on pictures made up here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from inkwash.core.progress import Step
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.vae import VAE

LARGEST = 320
"""Pixels of a preview's longer side."""

SHARE = 0.2
"""Of a step's time, what a full decode may take."""

PICTURES, SIDE, PATCH = 6, 64, 16
"""Of what the linear guess is fitted on: how many pictures, their size, and their patches' in pixels."""


def fit(model: StableDiffusion) -> Tensor:
    """The (C + 1, 3) matrix that takes latents, and a 1, to colours in 0..1 by least squares."""
    generator = torch.Generator().manual_seed(0)
    factor = model.latent_factor
    rows, colours = [], []
    for _ in range(PICTURES):
        cells = SIDE // PATCH
        patches = torch.rand(1, 3, cells, cells, generator=generator)
        picture = F.interpolate(patches, size=(SIDE, SIDE), mode="bilinear", align_corners=False)[0]
        latents = model.encode(picture).cpu()
        rows.append(_with_one(latents))
        colours.append(F.avg_pool2d(picture, factor).flatten(1).T)
    matrix: Tensor = torch.linalg.lstsq(torch.cat(rows), torch.cat(colours)).solution
    return matrix


def guess(latents: Tensor, matrix: Tensor) -> Image.Image:
    """latents: (C, h, w), the U-Net's.  One pixel a latent."""
    colours = (_with_one(latents.cpu().float()) @ matrix).clamp(0, 1)
    pixels = (colours * 255).round().to(torch.uint8).reshape(*latents.shape[1:], 3)
    return Image.fromarray(np.ascontiguousarray(pixels.numpy()))


def _with_one(latents: Tensor) -> Tensor:
    """(C, h, w) -> (h * w, C + 1)"""
    flat = latents.flatten(1).T
    return torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)


@dataclass(frozen=True, eq=False)
class Known:
    """What was learned of one model's VAE.  matrix: of the guess.  pace: seconds of a decode, a latent pixel."""

    matrix: Tensor
    factor: int
    pace: float

    def decode_seconds(self, latents: Tensor) -> float:
        """What a full decode will take, about."""
        return self.pace * latents.shape[-2] * latents.shape[-1]

    def guess(self, latents: Tensor, resample: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
        """The linear guess, as large as the picture will be."""
        height, width = (side * self.factor for side in latents.shape[-2:])
        return guess(latents, self.matrix).resize((width, height), resample)

    def preview(self, step: Step, seconds: float) -> Image.Image:
        """At most LARGEST pixels a side.  seconds: what a step takes at present."""
        quick = self.decode_seconds(step.denoised) <= SHARE * seconds
        image = step.preview() if quick else self.guess(step.denoised)
        image.thumbnail((LARGEST, LARGEST))
        return image


class Previews:
    """What is known of each model in memory, learned when it is first asked for."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[VAE, Known] = WeakKeyDictionary()

    def of(self, model: StableDiffusion) -> Known:
        if model.vae not in self._known:
            self._known[model.vae] = learn(model)
        return self._known[model.vae]


def learn(model: StableDiffusion, clock: Callable[[], float] = time.perf_counter) -> Known:
    """Fit the guess, and time the decoder on a small picture."""
    matrix, side = fit(model), SIDE // model.latent_factor
    latents = torch.zeros(matrix.shape[0] - 1, side, side, device=model.device)
    model.decode(latents)  # the first is slower
    start = clock()
    model.decode(latents)
    return Known(matrix, model.latent_factor, (clock() - start) / latents[0].numel())
