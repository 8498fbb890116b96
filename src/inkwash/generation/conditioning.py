"""Prompts -> what the U-Net attends to at each of its calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inkwash.checkpoint.families import Number
from inkwash.core.boxes import Box
from inkwash.core.request import Emphasis
from inkwash.generation.run import Beside, Encoded, EncodeText, Row, Run
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.prompt import parse_compositions, schedule, tokenize
from inkwash.prompt.tokenizer import load as load_tokenizer

LOW_SCORE = 2.5
"""A refiner's aesthetic score of negative prompts."""


@dataclass(frozen=True, eq=False)
class Part:
    """One side of an AND: its weight, and its texts with the last call each is used at."""

    weight: float
    texts: tuple[tuple[int, Encoded], ...]  # (last call, text)

    def at(self, call: int) -> Encoded:
        """call: 0-based count of U-Net calls.

        A1111 compares its 0-based counter with the 1-based "last step", so the first text of an edit lasts one call
        longer than it says; pictures depend on it, so it is kept.
        """
        return next((text for last, text in self.texts if call <= last), self.texts[-1][1])


@dataclass(frozen=True, eq=False)
class Conditioning:
    """A prompt, encoded: everything guidance needs, for every call."""

    parts: tuple[Part, ...]

    def at(self, call: int) -> list[tuple[Encoded, float]]:
        """[(text, weight)], one an AND part."""
        return [(part.at(call), part.weight) for part in self.parts]


@dataclass(frozen=True)
class TextSettings:
    """How text is read: A1111's clip skip (1 = last layer) and emphasis mode."""

    clip_skip: int
    emphasis: Emphasis


def encode_prompt(
    model: StableDiffusion,
    prompt: str,
    calls: int,
    settings: TextSettings,
    compose: bool,
    hires_calls: int | None = None,
) -> Run[Conditioning]:
    """calls: how many U-Net calls the (first) pass makes, which is what prompt editing counts.

    compose: split at AND, as positive prompts are; a negative prompt is one text.  hires_calls: those of the hires
    pass, whose conditioning is then returned.
    """
    sides = parse_compositions(prompt) if compose else [(prompt, 1.0)]
    parts = []
    for text, weight in sides:
        texts = []
        for last, wording in schedule(text, calls, hires_calls):
            encoded = yield from encode_text(model, wording, settings)
            texts.append((last, encoded if compose else as_negative(model, prompt, encoded)))
        parts.append(Part(weight, tuple(texts)))
    return Conditioning(tuple(parts))


def encode_text(model: StableDiffusion, text: str, settings: TextSettings) -> Run[Encoded]:
    """One wording, without editing or AND."""
    chunks = tuple(tokenize(text, load_tokenizer(), settings.emphasis))
    encoded: Encoded = yield EncodeText(model, chunks, settings.clip_skip, settings.emphasis)
    return encoded


def as_negative(model: StableDiffusion, prompt: str, text: Encoded) -> Encoded:
    """The text of a negative prompt: of a low score; where it is empty, zeros if the model was trained so."""
    if prompt == "" and model.spec.zero_empty:
        pooled = None if text.pooled is None else torch.zeros_like(text.pooled)
        text = Encoded(torch.zeros_like(text.context), pooled)
    return replace(text, score=LOW_SCORE)


def row(
    model: StableDiffusion,
    x: Tensor,
    sigma: float,
    text: Encoded,
    beside: Beside | None = None,
    box: Box | None = None,
) -> Row:
    """One line of a U-Net call on the picture x, (4, h, w), or on what lies in a box of it; beside: of the whole.

    SDXL is told that the picture was never larger and where it is cut: not at all, as in A1111, or at the box.
    """
    seen = x if box is None else box.of(x)
    added = None
    if text.pooled is not None:
        height, width = (side * model.latent_factor for side in x.shape[1:])
        top, left = (0, 0) if box is None else (box.top * model.latent_factor, box.left * model.latent_factor)
        told: dict[Number, float] = {"height": height, "width": width, "top": top, "left": left}
        told |= {"target height": seen.shape[1] * model.latent_factor}
        told |= {"target width": seen.shape[2] * model.latent_factor, "score": text.score}
        added = model.added(text.pooled, told)
    beside = beside or Beside()
    concat = beside.concat if box is None or beside.concat is None else box.of(beside.concat)
    return Row(seen, sigma, text.context, concat, added, beside.noise_level)


def to_common_length(contexts: Sequence[Tensor], length: int) -> list[Tensor]:
    """Repeat contexts until they are ``length`` long, which must be a multiple of each.

    Exact: a repeated context gives every key the same extra weight, so the softmax average is unchanged.
    """
    return [context.repeat(length // context.shape[0], 1) for context in contexts]
