"""The second judge: how many figures of one kind a picture holds, which the first one, taught scenes of at most three
well-spaced figures, cannot say of pictures drawn larger than the model was made for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.nn import functional as F

from .judge import HELD_OUT
from .progress import Training, Worker, device, load_state, to_pixels, train
from .settings import Settings
from .world.scene import Figure, Scene, draw_scene, render
from .world.subjects import Subject, subjects

SEEN = 96  # pixels a side the counter looks at
MOST = 6  # and more


class Counter(nn.Module):
    """Strided convolutions; the answer is a class, 1 to ``MOST`` figures."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 96, 128)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
            layers += [nn.Conv2d(after, after, 3, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
        self.eye = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(widths[-1] * 2, 128), nn.SiLU(), nn.Linear(128, MOST))

    def forward(self, pictures: Tensor) -> Tensor:
        """pictures (B, 3, H, W) in -1..1.  Returns logits (B, MOST)."""
        seen = self.eye(F.interpolate(pictures, size=(SEEN, SEEN), mode="area"))
        logits: Tensor = self.head(torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], dim=1))
        return logits

    @torch.no_grad()
    def count(self, pictures: Tensor) -> Tensor:
        """(B,) int64: figures, ``MOST`` meaning that many or more."""
        return self(pictures).argmax(dim=1) + 1


@dataclass(frozen=True)
class Crowds:
    """Draws the pictures it learns from: one figure of any size, or several that may touch and overlap."""

    world: tuple[Subject, ...]
    side: int
    rng: np.random.Generator

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Pictures (count, 3, side, side) in -1..1 and their true classes (count,), 0 for one figure."""
        numbers = [1 if self.rng.random() < 0.45 else int(self.rng.integers(2, MOST + 2)) for _ in range(count)]
        pictures = np.stack([self._softened(render(self._scene(n), self.world, self.side)) for n in numbers])
        return to_pixels(torch.from_numpy(pictures)), torch.tensor([min(n, MOST) - 1 for n in numbers])

    def _scene(self, number: int) -> Scene:
        while (scene := draw_scene(self.rng, self.world, clean=1.0)).kind != "one":
            pass
        first = scene.figures[0]
        size = self.rng.uniform(0.3, 0.9) if number == 1 else self.rng.uniform(0.2, min(0.42, 0.9 / number**0.5))
        spots = self._spots(number, size)
        figures = tuple(Figure(first.subject, first.tint, x, y, size * self.rng.uniform(0.85, 1.1)) for x, y in spots)
        return Scene("count", figures, "centre", "middle", scene.background, scene.style, "", scene.seed)

    def _spots(self, number: int, size: float) -> list[tuple[float, float]]:
        """Middles at least 0.6 of a figure apart, so that each can be told from its neighbour."""
        margin, spots = size / 2, list[tuple[float, float]]()
        while len(spots) < number:
            x, y = self.rng.uniform(margin * 0.8, 1 - margin * 0.8, 2)
            if all((x - a) ** 2 + (y - b) ** 2 > (0.6 * size) ** 2 for a, b in spots):
                spots.append((float(x), float(y)))
        return spots

    def _softened(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Drawn pictures are softer than the font's."""
        blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(self.rng.uniform(0, 1.5)))
        return np.asarray(blurred)


def train_counter(settings: Settings) -> None:
    own, counter = settings.counter, Counter().to(device())
    optimizer = torch.optim.AdamW(counter.parameters(), lr=own.rate, betas=(0.9, 0.98), weight_decay=0.02)
    training = Training("counter", settings.paths.state, counter, optimizer, 0.995, own.batch)
    train(training, settings.workers, own.minutes, _work, settings)
    print(json.dumps(counter_accuracy(settings), indent=1))


def _work(worker: Worker, settings: Settings) -> None:
    rng = np.random.default_rng([worker.index, int(worker.training.counters[0])])
    crowds = Crowds(subjects(settings.world.subjects), settings.world.side, rng)

    def loss_of(_: int) -> Tensor:
        pictures, true = crowds.batch(settings.counter.batch)
        with torch.autocast(device().type, torch.bfloat16):
            logits = worker.training.module(pictures.to(device()))
        return F.cross_entropy(logits.float(), true.to(device()))

    worker.run(loss_of, [settings.counter.rate])


def load_counter(settings: Settings) -> Counter:
    saved = load_state(settings.paths.state / "counter.pt")
    if saved is None:
        raise FileNotFoundError("there is no trained counter yet: run the stage 'counter' first")
    counter = Counter()
    counter.load_state_dict(saved["average"])
    return counter.to(device()).eval()


def counter_accuracy(settings: Settings, count: int = 1000) -> dict[str, float]:
    """On pictures that training never draws: the exact number, and whether there is more than one, in percent."""
    rng, counter = np.random.default_rng([HELD_OUT, 5]), load_counter(settings)
    crowds = Crowds(subjects(settings.world.subjects), settings.world.side, rng)
    exact = more = 0
    for _ in range(count // 100):
        pictures, true = crowds.batch(100)
        said = counter.count(pictures.to(device())).cpu() - 1
        exact += int((said == true).sum())
        more += int(((said > 0) == (true > 0)).sum())
    return {"number": round(100 * exact / count, 1), "one or more": round(100 * more / count, 1)}
