"""Small pictures of what the model believes on the way: the VAE's own where that costs little, else a linear guess.

Latents are nearly an image already: each pixel's colour is close to a linear function of its latent values.  That
function is fitted once a VAE, on pictures made up here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from inkwash.core.progress import Step
from inkwash.models.stable_diffusion import StableDiffusion

LARGEST = 320
"""Pixels of a preview's longer side."""

SHARE = 0.2
"""Of a step's time, what a full decode may take."""

PICTURES, SIDE, PATCH = 6, 64, 16
"""Of what the linear guess is fitted on: how many pictures, their size, and their patches' in pixels."""


class Eye(Protocol):
    """The part of ``Engine`` that is needed."""

    @property
    def current(self) -> StableDiffusion | None: ...


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
    return torch.linalg.lstsq(torch.cat(rows), torch.cat(colours)).solution


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
    """What was learned of one model's VAE.  pace: seconds of a decode, a latent pixel."""

    model: StableDiffusion
    matrix: Tensor
    pace: float

    def decode_seconds(self, latents: Tensor) -> float:
        """What a full decode will take, about."""
        return self.pace * latents.shape[-2] * latents.shape[-1]

    def guess(self, latents: Tensor, resample: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
        """The linear guess, as large as the picture will be."""
        height, width = (side * self.model.latent_factor for side in latents.shape[-2:])
        return guess(latents, self.matrix).resize((width, height), resample)


class Previewer:
    """Previews of whatever model the engine holds."""

    def __init__(self, engine: Eye, clock: Callable[[], float] = time.perf_counter) -> None:
        self.engine = engine
        self.clock = clock
        self._known: Known | None = None

    def __call__(self, step: Step, seconds: float) -> Image.Image | None:
        """seconds: what a step takes at present.  At most LARGEST pixels a side; None when no model is in memory."""
        model = self.engine.current
        if model is None:
            return None
        known = self._known = self._learned(model)
        quick = known.decode_seconds(step.denoised) <= SHARE * seconds
        image = step.preview() if quick else known.guess(step.denoised)
        image.thumbnail((LARGEST, LARGEST))
        return image

    def _learned(self, model: StableDiffusion) -> Known:
        return self._known if self._known is not None and self._known.model is model else learn(model, self.clock)


def learn(model: StableDiffusion, clock: Callable[[], float] = time.perf_counter) -> Known:
    """Fit the guess, and time the decoder on a small picture."""
    matrix, side = fit(model), SIDE // model.latent_factor
    latents = torch.zeros(matrix.shape[0] - 1, side, side, device=model.device)
    model.decode(latents)  # the first is slower
    start = clock()
    model.decode(latents)
    return Known(model, matrix, (clock() - start) / latents[0].numel())
