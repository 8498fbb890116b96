"""Previews: the linear guess against numpy's least squares, and when the VAE itself is asked."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from inkwash.core.progress import Step
from inkwash.generation import preview
from inkwash.generation.engine import Engine
from inkwash.generation.preview import LARGEST, Previews, fit, guess


@dataclass
class Linear:
    """A model whose latents are a known linear function of 8x8 pixels' mean colours."""

    matrix: Tensor  # (4, 3)
    latent_factor: int = 8

    def encode(self, picture: Tensor) -> Tensor:
        return torch.einsum("ck,khw->chw", self.matrix, F.avg_pool2d(picture, 8)) - 0.5


def test_the_fit_finds_a_linear_truth() -> None:
    matrix = torch.tensor([[1.0, 2, 3], [-1, 0, 1], [0.5, 0.5, -2], [3, 1, 0]])
    model: Any = Linear(matrix)
    colours = torch.rand(3, 5, 7)
    latents = torch.einsum("ck,khw->chw", matrix, colours) - 0.5
    found = np.asarray(guess(latents, fit(model)))
    wanted = (colours.permute(1, 2, 0) * 255).numpy()
    assert np.abs(found - wanted).max() < 1.0  # rounding to a level


def test_the_fit_is_least_squares(engine: Engine) -> None:
    """On a real (random) VAE: no better matrix is found by numpy on the same pictures."""
    model = engine.model("tiny")
    generator = torch.Generator().manual_seed(0)
    rows, colours = [], []
    for _ in range(preview.PICTURES):
        cells = preview.SIDE // preview.PATCH
        patches = torch.rand(1, 3, cells, cells, generator=generator)
        picture = F.interpolate(patches, size=(64, 64), mode="bilinear", align_corners=False)[0]
        latents = model.encode(picture).flatten(1).T
        rows.append(torch.cat([latents, torch.ones(len(latents), 1)], 1).numpy())
        colours.append(F.avg_pool2d(picture, 8).flatten(1).T.numpy())
    a, b = np.concatenate(rows).astype(np.float64), np.concatenate(colours).astype(np.float64)
    best = np.linalg.norm(a @ np.linalg.lstsq(a, b, rcond=None)[0] - b)
    assert np.linalg.norm(a @ fit(model).double().numpy() - b) <= best * (1 + 1e-4)


@pytest.mark.parametrize(("seconds", "asked"), [(1e6, True), (0.0, False)])
def test_the_vae_is_asked_when_a_step_takes_long_anyway(engine: Engine, seconds: float, asked: bool) -> None:
    calls = []

    def full() -> Image.Image:
        calls.append(1)
        return Image.new("RGB", (512, 512))

    denoised = torch.zeros(4, 64, 32)
    step = Step(0, 1, 1, 4, 1.0, denoised, denoised, full)
    image = Previews().of(engine.model("tiny")).preview(step, seconds)
    assert bool(calls) is asked
    assert image.size == ((LARGEST, LARGEST) if asked else (LARGEST // 2, LARGEST))


def test_a_model_is_learned_once_and_not_kept_alive(models_dir: Path) -> None:
    engine, previews = Engine(models_dir=models_dir, device="cpu", dtype="float32"), Previews()
    model = engine.model("tiny")
    assert previews.of(model) is previews.of(model)
    gone = weakref.ref(model.vae)
    engine.close()
    del model
    gc.collect()
    assert gone() is None
    assert len(previews._known) == 0
