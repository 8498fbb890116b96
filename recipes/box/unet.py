"""Text encoder and U-Net, trained together on cached latents with the package's own objective."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inkwash.checkpoint.spec import UNetSpec
from inkwash.diffusion.noise_schedule import STABLE_DIFFUSION
from inkwash.diffusion.parametrization import add_noise, min_snr_weight, target
from inkwash.models.text import TextEncoder
from inkwash.models.unet import UNet

from .beginning import begin_as_identity
from .latents import load_shard, shard_paths
from .muon import Muon, hidden_matrices
from .progress import Training, Worker, device, load_state, train
from .settings import Settings
from .text import Reader, text_spec
from .tokens import Tokens
from .world.captions import Speaker
from .world.scene import Scene
from .world.subjects import subjects

HEADS = 8


def unet_spec(settings: Settings) -> UNetSpec:
    own, levels = settings.unet, len(settings.unet.channels)
    heads = (HEADS,) * levels
    return UNetSpec(4, 4, own.channels, own.layers, own.depths, 1, settings.text.width, heads, HEADS, False)


def plain_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v in three calls: with so few tokens PyTorch's fused kernel is slower on a CPU."""
    scores = q @ k.mT * q.shape[-1] ** -0.5
    return scores.float().softmax(dim=-1).to(v.dtype) @ v


class Painter(nn.Module):
    """The text encoder and the U-Net; ``mean`` and ``deviation`` (4, 1, 1) are those of the latents as cached."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.text = TextEncoder(text_spec(settings))
        self.unet = UNet(unet_spec(settings), plain_attention)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(4, 1, 1))
        self.register_buffer("deviation", torch.ones(4, 1, 1))

    def forward(self, noisy: Tensor, t: Tensor, ids: Tensor) -> Tensor:
        """noisy (B, 4, h, w), t (B,), ids (B, 77).  Returns the predicted noise."""
        predicted: Tensor = self.unet(noisy, t, self.text(ids))
        return predicted


def train_unet(settings: Settings) -> None:
    painter = Painter(settings).to(device())
    if (taught := load_state(settings.paths.state / "text.pt")) is None:
        raise FileNotFoundError("there is no taught text encoder yet: run the stage 'text' first")
    reader = Reader(text_spec(settings), settings.world.subjects)
    reader.load_state_dict(taught["average"])
    painter.text.load_state_dict(reader.encoder.state_dict())
    latents = torch.from_numpy(load_shard(shard_paths(settings)[0])[0]).float()
    painter.mean.copy_(latents.mean((0, 2, 3))[:, None, None])
    painter.deviation.copy_(latents.std((0, 2, 3))[:, None, None])
    begin_as_identity(painter.unet)
    own = settings.unet
    matrices, others = hidden_matrices(painter.unet, but=("conv_in", "conv_out"))
    groups = [(matrices, False), (others, True), (list(painter.text.parameters()), True)]
    optimizer = Muon(
        [{"params": parameters, "adam": adam} for parameters, adam in groups],
        lr=own.rate, momentum=0.95, betas=(0.9, 0.99), weight_decay=0.01,
    )  # fmt: skip
    training = Training("unet", settings.paths.state, painter, optimizer, own.ema, own.batch)
    train(training, settings.workers, own.minutes, _work, settings)


def _work(worker: Worker, settings: Settings) -> None:
    own, world, tokens = settings.unet, subjects(settings.world.subjects), Tokens()
    rng = np.random.default_rng([worker.index, int(worker.training.counters[0])])
    speaker = Speaker(world, tokens.words, rng)
    painter = cast(Painter, worker.training.module)
    native, large = Batches(settings, rng, 1), Batches(settings, rng, 2)
    levels = len(STABLE_DIFFUSION.alphas_cumprod)

    def loss_of(_: int) -> Tensor:
        twice = bool(large.paths()) and rng.random() < own.large
        latents, scenes = large.draw(own.large_batch) if twice else native.draw(own.batch)
        ids = tokens.ids([speaker.caption(scene) for scene in scenes])
        x0 = (torch.from_numpy(latents).float().to(device()) - painter.mean) / painter.deviation
        below = own.large_below if twice else levels
        return diffusion_loss(painter, x0, ids.to(device()), own.min_snr, own.lift, below)

    worker.run(loss_of, [own.rate, own.rate, own.text_rate])


def diffusion_loss(painter: Painter, x0: Tensor, ids: Tensor, gamma: float, lift: float, below: int) -> Tensor:
    """Squared error of the predicted noise, weighted by arXiv:2303.09556 and further by alphas_cumprod ** -lift.

    The noisiest levels, where text and layout decide, have small errors and would hardly be heard.
    below: of the noise levels 0..999 only those under this one.
    """
    t = torch.randint(0, below, (len(x0),), device=x0.device)
    noise = torch.randn_like(x0)
    noisy = add_noise(x0, noise, t, STABLE_DIFFUSION)
    with torch.autocast(x0.device.type, torch.bfloat16):
        predicted = painter(noisy, t, ids).float()
    error = (predicted - target(x0, noise, t, STABLE_DIFFUSION, "eps")).square().mean((1, 2, 3))
    weight: Tensor = min_snr_weight(t, STABLE_DIFFUSION, "eps", gamma).float()
    weight = weight * STABLE_DIFFUSION.alphas_cumprod.to(t.device)[t].float() ** -lift
    return torch.mean(error * weight)


class Batches:
    """Random scenes of a random shard; after a shard's worth another is read, new ones as they appear."""

    def __init__(self, settings: Settings, rng: np.random.Generator, scale: int) -> None:
        self.settings, self.rng, self.scale = settings, rng, scale
        self.order: list[int] = []

    def paths(self) -> list[Path]:
        return shard_paths(self.settings, self.scale)

    def draw(self, count: int) -> tuple[NDArray[np.float16], list[Scene]]:
        """Latents (count, 4, h, w) and their scenes."""
        if len(self.order) < count:
            paths = self.paths()
            self.latents, self.scenes = load_shard(paths[self.rng.integers(len(paths))])
            self.order = list(self.rng.choice(len(self.scenes), len(self.scenes), p=self._shares()))
        picked, self.order = self.order[:count], self.order[count:]
        return self.latents[picked], [self.scenes[i] for i in picked]

    def _shares(self) -> NDArray[np.float64]:
        """How likely each scene of the shard is: two subjects, or unusual colours, are hardest and come more often."""
        hard = np.array([s.kind == "pair" or any(f.tint for f in s.figures) for s in self.scenes])
        weights = np.where(hard, self.settings.unet.hard, 1.0)
        return weights / weights.sum()
