"""``inkwash tokens``: how a prompt reaches the model, token by token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from inkwash.cli.terminal import harmless, say
from inkwash.core.choices import EMPHASIS, choose
from inkwash.core.request import GenerateRequest

if TYPE_CHECKING:
    from inkwash.prompt import Emphasis, Token

CHUNK = 75
DEFAULT = GenerateRequest()


@dataclass(frozen=True)
class Text:
    """One text that is encoded by itself: a part of an AND, at the steps up to ``until``."""

    part: int  # 0-based, parts of AND
    weight: float  # of the part
    until: int  # last step it is used in
    text: str
    tokens: list[Token]


def tokens(
    text: Annotated[str, typer.Argument(help="A prompt.")],
    steps: Annotated[int, typer.Option(help="Steps that [a:b:0.5] and [a|b] count.")] = DEFAULT.steps,
    emphasis: Annotated[str, typer.Option(help=f"{', '.join(EMPHASIS)}.")] = DEFAULT.emphasis,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show a prompt's tokens, their weights and the chunks of 75 they are cut into, with advice."""
    from inkwash.prompt import advise, load_tokenizer, parse_networks

    mode = choose("emphasis", emphasis, EMPHASIS)
    clean, networks = parse_networks(text)
    texts = list(read(clean, max(steps, 1), mode))
    advice = [found.message for found in advise(text, load_tokenizer(), steps=max(steps, 1))]
    if as_json:
        answer = {
            "texts": [asdict(one) for one in texts],
            "networks": [asdict(network) for network in networks],
            "advice": advice,
        }
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for one in texts:
        show(one, single=len(texts) == 1)
    for network in networks:
        weights = f"text {network.text_weight:g}, U-Net {network.unet_weight:g}"
        print(f"network: {network.kind} {harmless(network.name)} ({weights})")
    for line in advice:
        say(f"advice: {harmless(line)}")


def read(text: str, steps: int, emphasis: Emphasis) -> Iterator[Text]:
    """Every text the prompt becomes: parts of AND, and within them what editing makes of them step by step."""
    from inkwash.prompt import load_tokenizer, parse_compositions, schedule, token_view

    for part, (wording, weight) in enumerate(parse_compositions(text)):
        for until, variant in schedule(wording, steps):
            yield Text(part, weight, until, variant, token_view(variant, load_tokenizer(), emphasis))


def show(one: Text, *, single: bool) -> None:
    """Chunk by chunk, one token a line: place, id, weight, text."""
    if not single:
        print(f"part {one.part + 1} (weight {one.weight:g}), up to step {one.until}: {harmless(one.text)}")
    if not one.tokens:
        print("chunk 1: 0 of 75 tokens")
    for number, group in groupby(one.tokens, key=lambda token: token.chunk):
        members = list(group)
        print(f"chunk {number + 1}: {len(members)} of {CHUNK} tokens")
        for token in members:
            note = f"  (embedding {token.embedding}, vector {token.vector})" if token.embedding else ""
            print(f"  {token.position:3} {token.id:6} {token.weight:6.3f}  {harmless(token.text)!r}{note}")
