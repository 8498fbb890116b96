"""What a prompt's author probably did not mean.  Advice changes nothing: the prompt is drawn as the language has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice

from inkwash.prompt.chunks import CHUNK, Token, place
from inkwash.prompt.editing import schedule
from inkwash.prompt.grammar import BREAK, parse_attention, parse_compositions
from inkwash.prompt.networks import KINDS, find_tags, parse_networks
from inkwash.prompt.tokenizer import Tokenizer

LIGHTEST, HEAVIEST = 0.4, 1.6  # weights outside of these usually spoil the picture
_TEXTS = 4  # an edited prompt has many texts; so many are looked at
_REPEATS = 5  # pieces of advice of one kind
_SNIPPET = 60  # characters of the prompt quoted

_DECIMAL_COMMA = re.compile(r"[:：]\s*[+-]?(\d+)[,，。．](\d+)\s*[)）\]]")
_MISSING_COLON = re.compile(r"[(（]([^()（）\[\]:：]*[^\W\d])\s+(\d?\.\d+)\s*[)）]")
_BARE_WEIGHT = re.compile(r"(?<![^\W\d])([^\W\d]+)\s*[:：]\s*(\d*\.\d+)")
_SQUARE_WEIGHT = re.compile(r"\[([^\[\]:：|]*)[:：]\s*([1-9]\.\d+)\s*\]")
_LOOKS_EDITED = re.compile(r"\[[^\[\]|]*[:：]\s*(?:\d+(?:\.\d*)?|\.\d+)\s*\]")
_FULL_WIDTH = re.compile(r"(?<!\\)[（）]|：(?=\s*[+-]?[.\d]+\s*[)）\]])")
_BRACKET = re.compile(r"\\.|[()\[\]（）]", re.S)
_PAIRS = {")": "(", "）": "(", "]": "["}


@dataclass(frozen=True, slots=True)
class Advice:
    """code: a fixed name of the kind of advice; where: the part of the prompt it is about."""

    code: str
    where: str
    message: str
    message_zh: str


def advise(
    prompt: str,
    tokenizer: Tokenizer,
    embeddings: Mapping[str, int] | None = None,
    hires: bool = False,
    steps: int = 20,
) -> list[Advice]:
    """Advice on a prompt as typed, tags and edits included; hires: whether the request has a second pass.

    Raises InvalidRequest where ``parse_networks`` and ``chunk`` do.
    """
    text, _ = parse_networks(prompt)
    texts = _texts(text, steps)
    kinds = (
        _decimal_commas(text),
        _missing_colons(text),
        _square_weights(text, hires),
        _brackets(text),
        _full_width(text),
        _unknown_tags(prompt),
        _stray_bars(text, steps),
        _weights(texts),
        _overflows(texts, tokenizer, embeddings or {}),
    )
    return [advice for kind in kinds for advice in islice(kind, _REPEATS)]


def _decimal_commas(text: str) -> Iterator[Advice]:
    for match in _DECIMAL_COMMA.finditer(text):
        yield Advice(
            "decimal-comma",
            _around(text, match),
            f"A comma is no decimal point, so the number is read as text; write {_short(match[1])}.{_short(match[2])}.",
            f"小数点写成了逗号，数字会被当作文字；请写成 {_short(match[1])}.{_short(match[2])}。",
        )


def _missing_colons(text: str) -> Iterator[Advice]:
    for match in _MISSING_COLON.finditer(text):
        yield Advice(
            "missing-colon",
            _short(match[0]),
            f"Without a colon the number is text and the weight 1.1; write ({_short(match[1])}:{match[2]}).",
            f"缺少冒号：数字会被当作文字，权重是 1.1；请写成 ({_short(match[1])}:{match[2]})。",
        )


def _square_weights(text: str, hires: bool) -> Iterator[Advice]:
    if hires:
        return
    for match in _SQUARE_WEIGHT.finditer(text):
        yield Advice(
            "square-weight",
            _short(match[0]),
            f"In square brackets this edits the hires pass and weighs nothing; write ({_short(match[1])}:{match[2]}).",
            f"方括号里的数字是高清修复阶段的切换点，不是权重；请写成 ({_short(match[1])}:{match[2]})。",
        )


def _brackets(text: str) -> Iterator[Advice]:
    """Brackets without a partner of their kind; round and square ones are counted apart, as emphasis does."""
    opened: dict[str, list[re.Match[str]]] = {"(": [], "[": []}
    for match in _BRACKET.finditer(text):
        bracket = match[0]
        if bracket in _PAIRS:
            if opened[_PAIRS[bracket]]:
                opened[_PAIRS[bracket]].pop()
            else:
                yield Advice(
                    "unbalanced-bracket",
                    _around(text, match),
                    f"This {bracket} closes nothing and stays as text; write \\{bracket} if that is meant.",
                    f"这个 {bracket} 没有对应的左括号，会被当作文字；如果确实要写括号，请用 \\{bracket}。",
                )
        elif not bracket.startswith("\\"):
            opened["[" if bracket == "[" else "("].append(match)
    for match in (*opened["("], *opened["["]):
        yield Advice(
            "unbalanced-bracket",
            _around(text, match),
            f"This {match[0]} is never closed: everything after it is weighted; write \\{match[0]} for the character.",
            f"这个 {match[0]} 没有右括号，后面的文字都会被加权；如果要写括号本身，请用 \\{match[0]}。",
        )


def _full_width(text: str) -> Iterator[Advice]:
    if match := _FULL_WIDTH.search(text):
        yield Advice(
            "full-width",
            _around(text, match),
            "Full-width （ ） ： are read as ( ) : here; write \\（ \\） for the characters.",
            "全角的（ ）：在这里等同于半角的 ( ) :；如果要写括号本身，请用 \\（ \\）。",
        )


def _unknown_tags(prompt: str) -> Iterator[Advice]:
    for tag in find_tags(prompt):
        if tag[1] not in KINDS:
            near = get_close_matches(tag[1].lower()[:80], KINDS, n=1, cutoff=0.5)
            yield Advice(
                "unknown-tag",
                _short(tag[0]),
                f"There is no kind of network called {_short(tag[1])}, so the tag is dropped"
                + (f"; did you mean <{near[0]}:...>?" if near else "."),
                f"没有名为 {_short(tag[1])} 的网络类型，这个标签会被忽略"
                + (f"；是不是想写 <{near[0]}:...>？" if near else "。"),
            )


def _stray_bars(text: str, steps: int) -> Iterator[Advice]:
    for part, _ in parse_compositions(text):
        if "|" in part and (edit := _LOOKS_EDITED.search(part)) and schedule(part, steps) == [(steps, part)]:
            yield Advice(
                "stray-bar",
                _short(edit[0]),
                "A | outside of [a|b] turns every edit of the prompt into plain text; take it out or write \\|.",
                "在 [a|b] 之外的 | 会让整个提示词里的切换语法失效；请删掉它或写成 \\|。",
            )


def _weights(texts: Sequence[str]) -> Iterator[Advice]:
    seen = set()
    for words, weight in (piece for text in texts for piece in parse_attention(text)):
        if (words, weight) in seen or (words, weight) == BREAK or not words.strip():
            continue
        seen.add((words, weight))
        if words == BREAK[0] and weight < 0:
            yield Advice(
                "break-in-brackets",
                "BREAK",
                "Inside brackets BREAK is a word; close them first.",
                "括号里的 BREAK 只是一个单词；请先把括号关上。",
            )
        elif not LIGHTEST <= weight <= HEAVIEST:
            yield Advice(
                "weight",
                _short(words),
                f"The weight {weight:.3g} is far from 1; between {LIGHTEST} and {HEAVIEST} pictures stay whole.",
                f"权重 {weight:.3g} 离 1 太远；建议保持在 {LIGHTEST} 到 {HEAVIEST} 之间。",
            )
        for match in _BARE_WEIGHT.finditer(words):
            yield Advice(
                "bare-weight",
                _short(match[0]),
                f"Without brackets this is text; for a weight write ({_short(match[1])}:{match[2]}).",
                f"没有括号的权重只是文字；请写成 ({_short(match[1])}:{match[2]})。",
            )


def _overflows(texts: Sequence[str], tokenizer: Tokenizer, embeddings: Mapping[str, int]) -> Iterator[Advice]:
    seen = set()
    for stretch in (stretch for text in texts for stretch in _between_breaks(parse_attention(text))):
        tokens = place(stretch, tokenizer, embeddings=embeddings)
        chunks = 1 + max((token.chunk for token in tokens), default=0)
        words = _words(_beyond(tokens)[:20], tokenizer)
        if chunks > 1 and words not in seen:
            seen.add(words)
            yield Advice(
                "overflow",
                words,
                f"{len(tokens)} tokens, and {CHUNK} fit in a chunk: the words from here on are read apart from those"
                f" before ({chunks} chunks).  Keep together what belongs together, or set BREAK yourself.",
                f"共 {len(tokens)} 个词元，而一段只能容纳 {CHUNK} 个：从这里开始的词会与前面分开编码"
                f"（共 {chunks} 段）。请把相关的词放在一起，或用 BREAK 自行分段。",
            )


def _beyond(tokens: Sequence[Token]) -> Sequence[Token]:
    """Those of the second chunk and after, from a whole character on: its text is at the first of its tokens."""
    begin = next((number for number, token in enumerate(tokens) if token.chunk == 1), len(tokens))
    while 0 < begin < len(tokens) and not tokens[begin].text:
        begin -= 1
    return tokens[begin:]


def _between_breaks(parsed: Sequence[tuple[str, float]]) -> list[list[tuple[str, float]]]:
    stretches: list[list[tuple[str, float]]] = [[]]
    for piece in parsed:
        if piece == BREAK:
            stretches.append([])
        else:
            stretches[-1].append(piece)
    return stretches


def _texts(text: str, steps: int) -> list[str]:
    """The first few distinct texts that the text encoder will read."""
    texts = (text for part, _ in parse_compositions(text) for _, text in schedule(part, steps))
    return list(islice(dict.fromkeys(islice(texts, 10 * _TEXTS)), _TEXTS))


def _words(tokens: Sequence[Token], tokenizer: Tokenizer) -> str:
    """The tokens as a person would write them, more or less: a space after each word, none before a comma."""
    spelt = zip(tokens, tokenizer.tokens([token.id for token in tokens]), strict=True)
    parts = [token.text + (" " if spelling.endswith("</w>") or token.embedding else "") for token, spelling in spelt]
    return _short("".join(parts).replace(" ,", ",").strip())


def _around(text: str, match: re.Match[str]) -> str:
    return _short(text[max(0, match.start() - _SNIPPET // 3) : match.end() + _SNIPPET // 3].strip())


def _short(text: str) -> str:
    return text if len(text) <= _SNIPPET else text[: _SNIPPET - 3] + "..."
