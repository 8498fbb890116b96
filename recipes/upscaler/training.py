"""SRVGGNetCompact ("compact" of Real-ESRGAN), small, on random crops: L1 and edge loss."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from recipes.box.autoencoder import edge_loss
from recipes.box.progress import Training, Worker, load_state, train
from torch import Tensor, nn
from torch.nn import functional as F

from inkwash.checkpoint.files import write
from inkwash.imaging.architectures import spandrel

from .pairs import Pairs, Pictures, load_pairs
from .settings import NetworkSettings, Settings, TrainingSettings


def compact(own: NetworkSettings) -> nn.Module:
    """A network that adds what it learned to the picture's nearest-neighbour enlargement."""
    architecture = spandrel().architectures.Compact.Compact
    return architecture(num_feat=own.features, num_conv=own.convolutions, upscale=2)  # type: ignore[no-any-return]


@torch.no_grad()
def begin_interpolating(network: nn.Module) -> nn.Module:
    """The network begins as quadratic interpolation, not as noise: minutes of learning are saved.

    Its first three features carry the colours through unchanged, and the last convolution makes of them what
    interpolation adds to the nearest neighbour; all other features begin at random and count for little.
    """
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions[:-1]:
        layer.weight[:3] = 0
        layer.bias[:3] = 0  # type: ignore[index]
        for colour in range(3):
            layer.weight[colour, colour, 1, 1] = 1
    for activation in network.modules():
        if isinstance(activation, nn.PReLU):
            activation.weight[:3] = 1
    last = convolutions[-1]
    last.weight *= 0.1
    last.bias.zero_()  # type: ignore[union-attr]
    for colour in range(3):
        last.weight[4 * colour : 4 * colour + 4, :3] = 0
        last.weight[4 * colour : 4 * colour + 4, colour] = _interpolation()
    return network


def _interpolation() -> Tensor:
    """(4, 3, 3): for each quarter of a pixel, row by row, the parabola through three pixels less the middle one."""
    places = torch.tensor([-0.25, 0.25])
    taps = torch.stack([places * (places - 1) / 2, 1 - places**2, places * (places + 1) / 2], dim=1)
    kernels = (taps[:, None, :, None] * taps[None, :, None, :]).reshape(4, 3, 3)
    kernels[:, 1, 1] -= 1
    return kernels


def train_network(settings: Settings) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    own = settings.training
    network = begin_interpolating(compact(settings.network))
    optimizer = torch.optim.Adam(network.parameters(), lr=own.rate, betas=(0.9, 0.99))
    training = Training("network", settings.paths.state, network, optimizer, own.ema, own.batch)
    train(training, 1, own.minutes, _work, settings)


def _work(worker: Worker, settings: Settings) -> None:
    own, pairs = settings.training, load_pairs(settings, "training")
    network = worker.training.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rng = np.random.default_rng([13, int(worker.training.counters[0])])

    def loss_of(pictures: int) -> Tensor:
        small, large = draw_batch(rng, pairs, own, settings.pairs.decoded)
        with torch.autocast("cpu", torch.bfloat16):
            made = network(small).float()
        return F.l1_loss(made, large) + own.edge * edge_loss(made, large)

    worker.run(loss_of, [own.rate])


def draw_batch(rng: np.random.Generator, pairs: Pairs, own: TrainingSettings, decoded: float) -> tuple[Tensor, Tensor]:
    """(batch, 3, crop, crop) and (batch, 3, 2 crop, 2 crop) in 0..1; mirrored and turned at random, both alike."""
    source = pairs.decoded if rng.random() < decoded else pairs.small
    cuts = [_cut(rng, source, pairs.large, own.crop) for _ in range(own.batch)]
    return _tensor([small for small, _ in cuts]), _tensor([large for _, large in cuts])


def _cut(rng: np.random.Generator, source: Pictures, large: Pictures, crop: int) -> tuple[NDArray[np.uint8], ...]:
    index, (y, x) = rng.integers(len(source)), rng.integers(source.shape[1] - crop + 1, size=2)
    both = source[index, y : y + crop, x : x + crop], large[index, 2 * y : 2 * (y + crop), 2 * x : 2 * (x + crop)]
    turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
    return tuple(np.rot90(cut[:, ::-1] if mirrored else cut, turns) for cut in both)


def _tensor(pictures: list[NDArray[np.uint8]]) -> Tensor:
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack(pictures)))
    return stacked.permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=torch.channels_last)


def export(settings: Settings) -> None:
    """Write the averaged weights in half precision to the settings' model path."""
    saved = load_state(settings.paths.state / "network.pt")
    if saved is None:
        raise FileNotFoundError("there is no trained network yet: run the stage 'train' first")
    path = settings.paths.model
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "modelspec.title": "Inkwash 2x",
        "modelspec.license": "drawn with Noto Color Emoji, SIL Open Font License 1.1",
        "inkwash.pictures_seen": str(int(saved["counters"][1])),
    }
    write(path, {name: value.half().contiguous() for name, value in saved["average"].items()}, metadata)
    print(path, f"{path.stat().st_size / 1e3:.0f} kB,", metadata["inkwash.pictures_seen"], "crops seen")
