"""Emphasis, BREAK and AND: the part of A1111's prompt language that does not depend on the step."""

from __future__ import annotations

import re

ROUND = 1.1  # (x)
SQUARE = 1 / 1.1  # [x]
BREAK = ("BREAK", -1.0)  # what parse_attention puts where the chunk is to be filled up

# Full-width brackets and colons do what their ASCII twins do; everything else is text.  A backslash takes the bracket
# or backslash after it as text and vanishes.  Runs are one token, for speed.
_WEIGHT = r"[:：]\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)\s*[)）]"
_TOKEN = re.compile(rf"\\[()\[\]（）\\]?|[(（]+|\[+|[)）]+|\]+|{_WEIGHT}|(?:[^\\()\[\]:（）：]+|(?!{_WEIGHT})[:：])+")
_BREAK = re.compile(r"\bBREAK\b")
_AND = re.compile(r"\bAND\b")
_TRAILING_WEIGHT = re.compile(r"[:：]\s*([-+]?(?:\d+\.?|\d*\.\d+))$")

# A1111 multiplies a weight by its brackets in the order in which they close.  That order, and so the last bit of the
# product, is kept wherever it costs at most this many multiplications: for any text that a person could have meant.
_MULTIPLICATIONS = 100_000


# (start, end, multiplier, kind): pieces[start:end] stand in a bracket of this kind, which multiplies them.
_Span = tuple[int, int, float, str]


def parse_attention(text: str) -> list[tuple[str, float]]:
    """The text in pieces with the weight of each; neighbours of equal weight are one piece, and there is at least one.

    ``(x)`` 1.1, ``[x]`` 1/1.1, ``(x:1.3)``, nesting multiplies; brackets left open close at the end of the text and
    closing brackets without an opening one are text.  BREAK becomes ``("BREAK", -1.0)``; as in A1111, brackets around
    it multiply that as well, and then it is a word.  Any text is accepted, in time linear in its length.
    """
    pieces, weights, spans = _read(text)
    if sum(end - start for start, end, _, _ in spans) <= _MULTIPLICATIONS:
        for start, end, multiplier, _ in spans:
            for i in range(start, end):
                weights[i] *= multiplier
    else:
        for kind in "([":
            _multiply_nested(weights, [span for span in spans if span[3] == kind])
    return _merge(pieces, weights)


def parse_compositions(text: str) -> list[tuple[str, float]]:
    """The prompts that AND joins, each with the weight typed after its last colon (1.0 if there is none).

    AND counts as a word of its own, in capitals.  White space after a prompt goes, before it stays.
    """
    compositions = []
    for part in _AND.split(text):
        part = part.rstrip()
        weight = _TRAILING_WEIGHT.search(part)
        if weight is None:
            compositions.append((part, 1.0))
        else:
            compositions.append((part[: weight.start()].rstrip(), float(weight[1])))
    return compositions


def _read(text: str) -> tuple[list[str], list[float], list[_Span]]:
    """The text cut at its brackets, each piece's weight before multiplication, and the brackets as they close."""
    pieces: list[str] = []
    weights: list[float] = []
    spans: list[_Span] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def close(kind: str, multiplier: float) -> None:
        start = opened[kind].pop()
        if start < len(pieces):
            spans.append((start, len(pieces), multiplier, kind))

    for token in _TOKEN.findall(text):
        first, last = token[0], token[-1]
        if first in "([（":
            opened["[" if first == "[" else "("].extend([len(pieces)] * len(token))
        elif first in ")]）":
            kind, multiplier = ("[", SQUARE) if first == "]" else ("(", ROUND)
            partners = min(len(token), len(opened[kind]))
            for _ in range(partners):
                close(kind, multiplier)
            if partners < len(token):
                pieces.append(token[partners:])
                weights.append(1.0)
        elif first in ":：" and last in ")）" and opened["("]:
            close("(", float(token[1:-1]))
        elif first == "\\":
            pieces.append(token[1:])
            weights.append(1.0)
        elif "BREAK" in token:
            _append_breaks(token, pieces, weights)
        else:
            pieces.append(token)
            weights.append(1.0)
    for kind, multiplier in (("(", ROUND), ("[", SQUARE)):
        while opened[kind]:
            close(kind, multiplier)
    return pieces, weights, spans


def _append_breaks(text: str, pieces: list[str], weights: list[float]) -> None:
    """Add the text; each BREAK in it is a piece of its own and swallows the white space around it."""
    before, *others = _BREAK.split(text)
    for after in others:
        pieces += [before.rstrip(), BREAK[0]]
        weights += [1.0, BREAK[1]]
        before = after.lstrip()
    pieces.append(before)
    weights.append(1.0)


def _multiply_nested(weights: list[float], spans: list[_Span]) -> None:
    """Multiply by the spans of one kind, which nest, from the outermost in: linear, but not exact to the last bit."""
    if not spans:
        return
    waiting = spans.copy()  # the last to close, the outermost, is taken first
    around: list[tuple[int, float]] = []  # (start, product of this bracket and all around it)
    for i in range(len(weights) - 1, -1, -1):
        while around and around[-1][0] > i:
            around.pop()
        while waiting and waiting[-1][1] > i:
            start, _, multiplier, _ = waiting.pop()
            around.append((start, multiplier * around[-1][1] if around else multiplier))
        if around:
            weights[i] *= around[-1][1]


def _merge(pieces: list[str], weights: list[float]) -> list[tuple[str, float]]:
    merged: list[tuple[str, float]] = []
    first = 0
    for i in range(1, len(pieces) + 1):
        if i == len(pieces) or weights[i] != weights[first]:
            merged.append(("".join(pieces[first:i]), weights[first]))
            first = i
    return merged or [("", 1.0)]
