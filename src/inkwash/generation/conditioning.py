"""Prompts -> what the U-Net attends to at each of its calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from inkwash.core.request import Emphasis
from inkwash.generation.run import EncodeText, Run
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.prompt import parse_compositions, schedule, tokenize
from inkwash.prompt.tokenizer import load as load_tokenizer


@dataclass(frozen=True, eq=False)
class Part:
    """One side of an AND: its weight, and its contexts with the last call each is used at."""

    weight: float
    contexts: tuple[tuple[int, Tensor], ...]  # (last call, (77 n, D))

    def at(self, call: int) -> Tensor:
        """call: 0-based count of U-Net calls.

        A1111 compares its 0-based counter with the 1-based "last step", so the first text of an edit lasts one call
        longer than it says; pictures depend on it, so it is kept.
        """
        return next((context for last, context in self.contexts if call <= last), self.contexts[-1][1])


@dataclass(frozen=True, eq=False)
class Conditioning:
    """A prompt, encoded: everything guidance needs, for every call."""

    parts: tuple[Part, ...]

    def at(self, call: int) -> list[tuple[Tensor, float]]:
        """[(context, weight)], one an AND part."""
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
        contexts = []
        for last, wording in schedule(text, calls, hires_calls):
            contexts.append((last, (yield from encode_text(model, wording, settings))))
        parts.append(Part(weight, tuple(contexts)))
    return Conditioning(tuple(parts))


def encode_text(model: StableDiffusion, text: str, settings: TextSettings) -> Run[Tensor]:
    """One wording, without editing or AND: (77 n, D)."""
    chunks = tuple(tokenize(text, load_tokenizer(), settings.emphasis))
    context: Tensor = yield EncodeText(model, chunks, settings.clip_skip, settings.emphasis)
    return context


def to_common_length(contexts: Sequence[Tensor], length: int) -> list[Tensor]:
    """Repeat contexts until they are ``length`` long, which must be a multiple of each.

    Exact: a repeated context gives every key the same extra weight, so the softmax average is unchanged.
    """
    return [context.repeat(length // context.shape[0], 1) for context in contexts]
