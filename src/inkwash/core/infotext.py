"""A1111's "parameters" text: one picture's request as people read it, paste it and share it.

    {prompt}
    Negative prompt: {negative}
    Steps: 20, Sampler: Euler a, ...

This module knows the format; ``infotext_fields`` knows which key means which field of a request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from inkwash.core import infotext_fields

if TYPE_CHECKING:
    from inkwash.core.request import GenerateRequest

NEGATIVE = "Negative prompt:"
MINIMUM_PAIRS = 3  # fewer on the last line, and it is taken for prose

# A key starts where a run of key characters starts (the look-behind) and never gives characters back (the "+" after
# quantifiers), so a long text without colons is scanned once, not once a character.  A flat {...} is one value, as the
# Tiled Diffusion extension writes it.
_END = r"(?=\s*+(?:,|$))"
_VALUE = rf'''"(?:\\.|[^\\"])++"{_END}|\{{[^{{}}]*+\}}{_END}|[^,]*+'''
_PAIR = re.compile(rf"(?<![\w /-])[ /-]*+(?P<key>\w[\w /-]++):\s*+(?P<value>{_VALUE})\s*+(?:,|$)")
_SIZE = re.compile(r"(\d{1,9})x(\d{1,9})", re.ASCII)


class Infotext(dict[str, str]):
    """A parsed text: "Prompt", "Negative prompt" and the parameters, in their order, values unquoted.

    ``WxH`` values stand under two keys, "Size-1" and "Size-2".
    """

    @property
    def prompt(self) -> str:
        return self.get("Prompt", "")

    @property
    def negative_prompt(self) -> str:
        return self.get("Negative prompt", "")

    @property
    def parameters(self) -> dict[str, str]:
        return {key: value for key, value in self.items() if key not in ("Prompt", "Negative prompt")}


def parse(text: str) -> Infotext:
    """Read any text; one without parameters is all prompt.  Linear in the text's length, raises nothing."""
    *lines, last = text.strip().split("\n")
    if len(_PAIR.findall(last)) < MINIMUM_PAIRS:
        lines.append(last)
        last = ""
    prompt: list[str] = []
    negative: list[str] = []
    target = prompt
    for line in map(str.strip, lines):
        if line.startswith(NEGATIVE):
            target = negative
            line = line[len(NEGATIVE) :].strip()
        target.append(line)

    parsed = Infotext({"Prompt": "\n".join(prompt).strip(), "Negative prompt": "\n".join(negative).strip()})
    for pair in _PAIR.finditer(last):
        key, raw = pair["key"].strip(), pair["value"].strip()
        if size := _SIZE.fullmatch(raw):
            parsed[f"{key}-1"], parsed[f"{key}-2"] = size[1], size[2]
        else:
            parsed[key] = unquote(raw)
    return parsed


def render(prompt: str, negative_prompt: str, pairs: Iterable[tuple[str, str]]) -> str:
    """The text of a prompt and its parameters; values are quoted as needed."""
    lines = [prompt]
    if negative_prompt:
        lines.append(f"{NEGATIVE} {negative_prompt}")
    lines.append(", ".join(f"{key}: {value if key in SIZES else quote(value)}" for key, value in pairs))
    return "\n".join(lines)


SIZES = frozenset(
    {"Size", "Seed resize from", "Init image size", "Hires resize"}
)  # the keys whose WxH is meant as two numbers


def quote(value: str) -> str:
    """JSON-quote what would not come back as it is: commas, colons, newlines, edge spaces, quotes, ``WxH`` names."""
    plain = value and value == value.strip() and not re.search(r'[,:\n\r]|^"', value) and not _SIZE.fullmatch(value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def unquote(value: str) -> str:
    """The inverse of ``quote``; text that only looks quoted stays as it is."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        decoded = json.loads(value, strict=False)
    except ValueError:
        return value
    return decoded if isinstance(decoded, str) else value


def write(
    request: GenerateRequest,
    *,
    seed: int | None = None,
    subseed: int | None = None,
    model_name: str | None = None,
    model_hash: str | None = None,
    vae_name: str | None = None,
    vae_hash: str | None = None,
    version: str | None = None,
    extras: Mapping[str, str] | None = None,
) -> str:
    """The text of one picture of a request, from which ``to_request`` makes the picture again.

    request: as drawn, with sizes resolved.  seed, subseed: this picture's, by default the request's.  model_name,
    vae_name: likewise.  extras: further pairs, put before the version.
    """
    pairs = infotext_fields.pairs(
        request,
        seed=request.seed if seed is None else seed,
        subseed=request.subseed if subseed is None else subseed,
        model=(model_name or request.model, model_hash),
        vae=(vae_name or request.vae, vae_hash),
    )
    pairs += list((extras or {}).items())
    if version:
        pairs.append(("Version", version))
    text = render(request.prompt, request.negative_prompt, pairs)
    exact = infotext_fields.exact_prompts(request, parse(text))
    return render(request.prompt, request.negative_prompt, pairs + exact) if exact else text


def to_request(parsed: Mapping[str, str]) -> GenerateRequest:
    """The request that draws the picture of a parsed text.  Raises InvalidRequest naming a senseless value."""
    return infotext_fields.request(parsed)
