"""The KL autoencoder of arXiv:2112.10752: L1 and edge loss on fresh scenes.

Once latents are cached only the decoder goes on learning.
Crops of half the side come first: they show four times as many glyphs for the same arithmetic.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from inkwash.checkpoint.spec import VAESpec
from inkwash.models.vae import VAE

from .beginning import begin_simple
from .progress import Training, Worker, device, mean, to_pixels, train
from .settings import AutoencoderSettings, Settings
from .world.scene import draw_training_scene, render
from .world.subjects import Subject, subjects


def vae_spec(settings: AutoencoderSettings) -> VAESpec:
    return VAESpec(latent_channels=4, channels=settings.channels, layers=settings.layers, scale_factor=0.18215)


def train_autoencoder(settings: Settings) -> None:
    own = settings.autoencoder
    vae = begin_simple(VAE(vae_spec(own))).to(device())
    optimizer = torch.optim.AdamW(vae.parameters(), lr=own.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    training = Training("autoencoder", settings.paths.state, vae, optimizer, own.ema, own.batch)
    train(training, settings.workers, own.minutes, _work, settings)


def _work(worker: Worker, settings: Settings) -> None:
    own, world = settings.autoencoder, subjects(settings.world.subjects)
    vae = cast(VAE, worker.training.module)
    if any((settings.paths.state / "latents").glob("*.npz")):  # the cache fixes what latents mean
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    rng = np.random.default_rng([worker.index, int(worker.training.counters[0])])

    def loss_of(pictures: int) -> Tensor:
        cropped = pictures < own.crop_pictures
        return _loss(vae, draw_batch(rng, world, settings.world.side, own, cropped).to(device()), own)

    worker.run(loss_of, [own.rate], lambda: {"psnr": round(psnr(settings, worker.training.average), 2)})


def draw_batch(
    rng: np.random.Generator, world: tuple[Subject, ...], side: int, own: AutoencoderSettings, cropped: bool
) -> Tensor:
    """(batch, 3, side, side), or (batch * crops, 3, side/2, side/2)."""
    count = own.batch * (own.crops if cropped else 1)
    scenes = [render(draw_training_scene(rng, world), world, side) for _ in range(count)]
    if cropped:
        corners = rng.integers(0, side // 2 + 1, (count, 2))
        scenes = [s[y : y + side // 2, x : x + side // 2] for s, (y, x) in zip(scenes, corners, strict=True)]
    return to_pixels(torch.from_numpy(np.stack(scenes)))


def edge_loss(made: Tensor, true: Tensor) -> Tensor:
    """L1 between the differences of neighbouring pixels, at full, half and quarter size."""
    total = made.new_zeros(())
    for scale in range(3):
        if scale:
            made, true = F.avg_pool2d(made, 2), F.avg_pool2d(true, 2)
        error = made - true
        total = total + (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean())
    return total / 3


def _loss(vae: VAE, batch: Tensor, own: AutoencoderSettings) -> Tensor:
    with torch.autocast(batch.device.type, torch.bfloat16):
        mean_, log_variance = vae.encode(batch)
        drawn = mean_ + torch.randn_like(mean_) * (0.5 * log_variance).exp()
        made = vae.decode(drawn)
    mean_, log_variance, made = mean_.float(), log_variance.float(), made.float()
    kl = 0.5 * (mean_.square() + log_variance.exp() - 1 - log_variance).mean()
    return F.l1_loss(made, batch) + own.edge * edge_loss(made, batch) + own.kl * kl


@torch.no_grad()
def psnr(settings: Settings, weights: dict[str, Tensor], count: int = 32) -> float:
    """Mean PSNR in dB over scenes that training never draws (their seeds and generator are the judge's)."""
    vae = VAE(vae_spec(settings.autoencoder)).to(device()).eval()
    vae.load_state_dict(weights)
    rng, world = np.random.default_rng(7), subjects(settings.world.subjects)
    found = []
    for _ in range(count // 16):
        scenes = [render(draw_training_scene(rng, world), world, settings.world.side) for _ in range(16)]
        true = to_pixels(torch.from_numpy(np.stack(scenes))).to(device())
        made = vae.decode(vae.encode(true)[0]).clamp(-1, 1)
        found += (10 * torch.log10(4 / (made - true).square().mean((1, 2, 3)))).tolist()
    return mean(found)
