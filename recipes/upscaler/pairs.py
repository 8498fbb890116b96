"""Pairs to learn from: a scene drawn large; the same at half the size; and that through the box's autoencoder.

The third is what the model in the box makes of a picture: soft, with the decoder's own marks, which are to be undone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from recipes.box.world.scene import Scene, draw_scene, render, seen_in_training
from recipes.box.world.subjects import Subject, subjects

from inkwash.checkpoint.catalog import BOX
from inkwash.models.load import load
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.runtime.device import choose

from .settings import PairSettings, Settings

Pictures = NDArray[np.uint8]  # (N, H, W, 3)


@dataclass(frozen=True)
class Pairs:
    """large: (N, side, side, 3).  small, decoded: (N, side/2, side/2, 3)."""

    large: Pictures
    small: Pictures
    decoded: Pictures


def draw_pairs(settings: Settings) -> None:
    """Draw and keep the pairs for training and those for the figures, unless they are there."""
    torch.set_num_threads(1)
    model = load(next(BOX.glob("*.safetensors")), None, choose("cpu", "float32"))
    world = subjects(settings.pairs.subjects)
    for name, count in (("training", settings.pairs.count), ("held_out", settings.pairs.held_out)):
        path = _path(settings, name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _save(path, _drawn(model, world, settings.pairs, count, held_out=name == "held_out"))
            print(path, flush=True)


def load_pairs(settings: Settings, name: str) -> Pairs:
    with np.load(_path(settings, name)) as kept:
        return Pairs(kept["large"], kept["small"], kept["decoded"])


def _path(settings: Settings, name: str) -> Path:
    return settings.paths.state / f"{name}.npz"


def _save(path: Path, pairs: Pairs) -> None:
    unfinished = path.with_suffix(".partial")
    with unfinished.open("wb") as file:
        np.savez(file, large=pairs.large, small=pairs.small, decoded=pairs.decoded)
    os.replace(unfinished, path)


def _drawn(
    model: StableDiffusion, world: tuple[Subject, ...], own: PairSettings, count: int, *, held_out: bool
) -> Pairs:
    rng = np.random.default_rng([11, held_out])
    large = np.stack([render(_scene(rng, world, held_out), world, own.side) for _ in range(count)])
    small = np.stack([_half(picture) for picture in large])
    return Pairs(large, small, np.stack([_through(model, picture) for picture in small]))


def _scene(rng: np.random.Generator, world: tuple[Subject, ...], held_out: bool) -> Scene:
    """A clean one; held_out: one that shows a combination the box's training never does."""
    while True:
        scene = draw_scene(rng, world, clean=1.0)
        if seen_in_training(scene) != held_out:
            return scene


def _half(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    return np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS))


@torch.no_grad()
def _through(model: StableDiffusion, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture encoded and decoded by the box's autoencoder."""
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255
    made = model.decode(model.encode(pixels))
    return (made.permute(1, 2, 0) * 255).round().clamp(0, 255).byte().numpy()
