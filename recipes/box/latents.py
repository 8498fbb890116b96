"""The cache: scenes drawn once, encoded once, kept as shards of latents and their scenes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import multiprocessing as mp

from inkwash.models.vae import VAE

from .autoencoder import vae_spec
from .progress import device, load_state, to_pixels
from .settings import Settings
from .world.scene import Figure, Scene, closer, draw_training_scene, render
from .world.subjects import Subject, subjects


def shard_paths(settings: Settings, scale: int = 1) -> list[Path]:
    """scale: 2 for the scenes drawn at twice the native side."""
    return sorted(_folder(settings, scale).glob("*.npz"))


def _folder(settings: Settings, scale: int) -> Path:
    return settings.paths.state / ("latents" if scale == 1 else f"latents-{scale}x")


def load_vae(settings: Settings) -> VAE:
    """The averaged autoencoder as trained; its latents are as they come, not yet scaled."""
    saved = load_state(settings.paths.state / "autoencoder.pt")
    if saved is None:
        raise FileNotFoundError("there is no trained autoencoder yet: run the stage 'autoencoder' first")
    vae = VAE(vae_spec(settings.autoencoder))
    vae.load_state_dict(saved["average"])
    return vae.to(device()).eval()


def cache_latents(settings: Settings) -> None:
    """Write the missing shards.  Each holds means (N, 4, h, w) float16 and the scenes as JSON.

    May run beside the U-Net's training, which takes up new shards as they appear.
    """
    own = settings.latents
    wanted = [(1, n) for n in range(own.shards)] + [(2, n) for n in range(own.large_shards)]
    missing = [shard for shard in wanted if not _shard(settings, *shard).exists()]
    with mp.get_context("spawn").Pool(settings.workers) as pool:
        for path in pool.imap_unordered(partial(_write_shard, settings), missing):
            print(path, flush=True)


def _shard(settings: Settings, scale: int, number: int) -> Path:
    return _folder(settings, scale) / f"{number:04d}.npz"


def _write_shard(settings: Settings, shard: tuple[int, int]) -> Path:
    """shard: its scale and number."""
    torch.set_num_threads(1)
    scale, path = shard[0], _shard(settings, *shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    world, vae = subjects(settings.world.subjects), load_vae(settings)
    rng = np.random.default_rng([5, shard[1]] if scale == 1 else [5, shard[1], scale])
    scenes = [draw_training_scene(rng, world) for _ in range(settings.latents.shard)]
    close = settings.latents.close if scale == 1 else 0.0
    scenes = [closer(scene, rng) if rng.random() < close else scene for scene in scenes]
    side, batch = settings.world.side * scale, 32 // scale**2
    parts = (scenes[i : i + batch] for i in range(0, len(scenes), batch))
    latents = np.concatenate([_encode(vae, part, world, side) for part in parts])
    unfinished = path.with_suffix(".partial")
    with unfinished.open("wb") as file:
        np.savez(file, latents=latents, scenes=json.dumps([asdict(scene) for scene in scenes]))
    os.replace(unfinished, path)
    return path


def load_shard(path: Path) -> tuple[NDArray[np.float16], list[Scene]]:
    with np.load(path) as shard:
        scenes = [_scene(entry) for entry in json.loads(str(shard["scenes"]))]
        return shard["latents"], scenes


def _scene(entry: dict[str, object]) -> Scene:
    return Scene(**(entry | {"figures": tuple(Figure(**figure) for figure in entry["figures"])}))  # type: ignore


@torch.no_grad()
def _encode(vae: VAE, scenes: list[Scene], world: tuple[Subject, ...], side: int) -> NDArray[np.float16]:
    pictures = torch.from_numpy(np.stack([render(scene, world, side) for scene in scenes]))
    with torch.autocast(device().type, torch.bfloat16):
        mean, _ = vae.encode(to_pixels(pictures).to(device()))
    return mean.float().cpu().numpy().astype(np.float16)
