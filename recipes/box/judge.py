"""The judge: a small classifier that looks at a picture and answers the questions ``text`` asks of a caption."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .progress import Training, Worker, device, load_state, to_pixels, train
from .settings import Settings
from .text import answers, questions
from .world.scene import Scene, draw_scene, render
from .world.subjects import subjects

QUESTIONS = ("subject", "second", "tint", "second tint", "background", "style", "flaw", "count", "place", "size")
SEEN = 64  # pixels a side the judge looks at
HELD_OUT = 99  # first number of the seeds no training scene comes from


class Judge(nn.Module):
    """Strided convolutions on a 64-pixel view, then a linear layer for all questions."""

    def __init__(self, world_size: int) -> None:
        super().__init__()
        self.sizes = questions(world_size)
        widths = (3, 32, 64, 128, 192)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
            layers += [nn.Conv2d(after, after, 3, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
        self.eye = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * 16, 384), nn.SiLU())
        self.heads = nn.Linear(384, sum(self.sizes))

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """pictures (B, 3, H, W) in -1..1.  Returns logits (B, answers) a question, in the order of QUESTIONS."""
        seen = F.interpolate(pictures, size=(SEEN, SEEN), mode="area")
        logits: Tensor = self.heads(self.eye(seen))
        return torch.split(logits, self.sizes, dim=1)

    @torch.no_grad()
    def say(self, pictures: Tensor) -> Tensor:
        """(B, questions) int64: the likeliest answers."""
        return torch.stack([logits.argmax(dim=1) for logits in self(pictures)], dim=1)


def train_judge(settings: Settings) -> None:
    judge = Judge(settings.world.subjects).to(device())
    optimizer = torch.optim.AdamW(judge.parameters(), lr=settings.judge.rate, betas=(0.9, 0.98), weight_decay=0.02)
    training = Training("judge", settings.paths.state, judge, optimizer, 0.995, settings.judge.batch)
    train(training, settings.workers, settings.judge.minutes, _work, settings)
    print(json.dumps(accuracy(settings), indent=1))


def _work(worker: Worker, settings: Settings) -> None:
    rng = np.random.default_rng([worker.index, int(worker.training.counters[0])])

    def loss_of(_: int) -> Tensor:
        pictures, true = _batch(rng, settings, settings.judge.batch)
        with torch.autocast(device().type, torch.bfloat16):
            logits = worker.training.module(pictures)
        losses = (F.cross_entropy(part.float(), true[:, i]) for i, part in enumerate(logits))
        return sum(losses, pictures.new_zeros(()))

    worker.run(loss_of, [settings.judge.rate])


def load_judge(settings: Settings) -> Judge:
    saved = load_state(settings.paths.state / "judge.pt")
    if saved is None:
        raise FileNotFoundError("there is no trained judge yet: run the stage 'judge' first")
    judge = Judge(settings.world.subjects)
    judge.load_state_dict(saved["average"])
    return judge.to(device()).eval()


def accuracy(settings: Settings, count: int = 2000) -> dict[str, float]:
    """Share of right answers on freshly drawn clean scenes, those whose combinations the painter never saw included."""
    rng, judge = np.random.default_rng([HELD_OUT, 1]), load_judge(settings)
    right = torch.zeros(len(QUESTIONS))
    for _ in range(count // 100):
        pictures, true = _batch(rng, settings, 100, clean=1.0)
        right += (judge.say(pictures) == true).float().sum(0).cpu()
    return {name: round(float(share), 4) for name, share in zip(QUESTIONS, right / count, strict=True)}


def _batch(rng: np.random.Generator, settings: Settings, count: int, clean: float = 0.8) -> tuple[Tensor, Tensor]:
    """Pictures (count, 3, side, side) and their true answers (count, questions)."""
    world = subjects(settings.world.subjects)
    scenes: list[Scene] = [draw_scene(rng, world, clean=clean) for _ in range(count)]
    pictures = to_pixels(torch.from_numpy(np.stack([render(scene, world, settings.world.side) for scene in scenes])))
    return pictures.to(device()), torch.tensor([answers(scene, len(world)) for scene in scenes]).to(device())
