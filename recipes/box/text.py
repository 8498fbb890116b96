"""The text encoder's first lessons: from a caption alone, say what is in the scene.

Names in three scripts come to mean the same, and words without meaning come to mean nothing, for a fraction of what
that costs through a U-Net.  Linear heads read one of the positions from the end token on, which the U-Net sees too; the
heads are thrown away.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkwash.checkpoint.spec import TextSpec
from inkwash.models.text import TextEncoder

from .progress import Training, Worker, device, train
from .settings import Settings
from .tokens import END, Tokens
from .world.backgrounds import BACKGROUNDS
from .world.captions import Speaker
from .world.scene import PLACES, SIZES, TINTS, Scene, draw_training_scene
from .world.styles import FLAWS, STYLES
from .world.subjects import subjects

VOCABULARY, POSITIONS = 49408, 77


def text_spec(settings: Settings) -> TextSpec:
    own = settings.text
    return TextSpec(VOCABULARY, POSITIONS, own.width, own.layers, max(1, own.width // 64), own.mlp_width, "quick_gelu")


def answers(scene: Scene, world_size: int) -> list[int]:
    """What ``Reader`` is asked, one class number a question, in the order of ``questions``."""
    first, last = scene.figures[0], scene.figures[-1]
    pair = scene.kind == "pair"
    return [
        first.subject,
        last.subject if pair else world_size,
        ("", *TINTS).index(first.tint),
        ("", *TINTS).index(last.tint) if pair else 0,
        list(BACKGROUNDS).index(scene.background),
        list(STYLES).index(scene.style),
        ("", *FLAWS).index(scene.flaw),
        0 if pair else len(scene.figures),
        list(PLACES).index(scene.place),
        list(SIZES).index(scene.size),
    ]


def questions(world_size: int) -> list[int]:
    """How many answers each question has."""
    tints = len(TINTS) + 1
    counts = [len(BACKGROUNDS), len(STYLES), len(FLAWS) + 1, 4, len(PLACES), len(SIZES)]
    return [world_size, world_size + 1, tints, tints, *counts]


class Reader(nn.Module):
    """A text encoder and the heads that question it."""

    def __init__(self, spec: TextSpec, world_size: int) -> None:
        super().__init__()
        self.sizes = questions(world_size)
        self.encoder = TextEncoder(spec)
        self.heads = nn.Linear(spec.width, sum(self.sizes))
        nn.init.normal_(self.encoder.text_model.embeddings.token_embedding.weight, std=0.02)
        nn.init.normal_(self.encoder.text_model.embeddings.position_embedding.weight, std=0.01)

    def forward(self, ids: Tensor, at: Tensor) -> tuple[Tensor, ...]:
        """ids (B, T); at (B,) the position that is read.  Returns logits (B, answers) a question."""
        hidden = self.encoder(ids)
        logits: Tensor = self.heads(hidden[torch.arange(len(ids)), at])
        return torch.split(logits, self.sizes, dim=1)


def train_text(settings: Settings) -> None:
    reader = Reader(text_spec(settings), settings.world.subjects).to(device())
    optimizer = torch.optim.AdamW(reader.parameters(), lr=settings.text.rate, betas=(0.9, 0.98), weight_decay=0.01)
    training = Training("text", settings.paths.state, reader, optimizer, 0.99, settings.text.batch)
    train(training, settings.workers, settings.text.minutes, _work, settings)


def _work(worker: Worker, settings: Settings) -> None:
    world, tokens = subjects(settings.world.subjects), Tokens()
    rng = np.random.default_rng([worker.index, int(worker.training.counters[0])])
    speaker = Speaker(world, tokens.words, rng)

    def loss_of(_: int) -> Tensor:
        scenes = [draw_training_scene(rng, world) for _ in range(settings.text.batch)]
        ids = tokens.ids([speaker.caption(scene) for scene in scenes])
        true = torch.tensor([answers(scene, len(world)) for scene in scenes])
        return question(worker.training.module, ids.to(device()), true.to(device()), rng)

    worker.run(loss_of, [settings.text.rate])


def question(reader: nn.Module, ids: Tensor, true: Tensor, rng: np.random.Generator) -> Tensor:
    """Cross-entropy summed over the questions, read at a random position from the end token on.

    Most batches are cut behind their longest caption, where nothing but padding follows.
    """
    ends = (ids == END).int().argmax(dim=1)
    length = POSITIONS if rng.random() < 0.25 else min(POSITIONS, int(ends.max()) + 3)
    at = ends + (torch.rand(len(ids), device=ids.device) * (length - ends)).long()
    with torch.autocast(ids.device.type, torch.bfloat16):
        logits = reader(ids[:, :length], at)
    return sum((F.cross_entropy(part.float(), true[:, i]) for i, part in enumerate(logits)), ids.new_zeros(()).float())
