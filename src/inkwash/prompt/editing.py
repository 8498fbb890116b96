"""Prompt editing ``[a:b:0.5]`` and alternation ``[a|b]``: which text each step is drawn with."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

# Full-width brackets and colons work as their ASCII twins do, and are kept as typed where they stay.
_KINDS = {**{token: token for token in "[]():|\\"}, "（": "(", "）": ")", "：": ":"}
_PARTNERS = {"]": "[", ")": "("}
_TOKEN = re.compile(r"(?:[^\\\[\]():|（）：]+|\\.)+|[\[\]():|（）：\\]")
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*")


class Edit(NamedTuple):
    """``before`` up to and including ``last_step`` (steps count from 1), ``after`` from then on."""

    before: Branch
    after: Branch
    last_step: int

    def at(self, step: int) -> Branch:
        return self.before if step <= self.last_step else self.after


class Alternation(NamedTuple):
    """The first option at step 1, the next at step 2, ..., and round again."""

    options: tuple[Branch, ...]

    def at(self, step: int) -> Branch:
        return self.options[(step - 1) % len(self.options)]


Piece = str | Edit | Alternation
Branch = str | tuple[Piece, ...]  # a str where nothing inside changes


def schedule(text: str, steps: int, hires_steps: int | None = None) -> list[tuple[int, str]]:
    """``[(last_step, text), ...]``: each text is drawn with up to and including its last step; steps count from 1.

    A number with a point is a fraction of the pass: 0..1 acts in the first pass, 1..2 in the hires pass.  A whole
    number is a step; one beyond ``steps`` acts in the hires pass.  With ``hires_steps`` the hires pass's schedule is
    returned, otherwise the first pass's.  Text that only looks like an edit stays as typed.
    """
    if hires_steps is None:
        return _schedule(text, steps, lambda number: _last_step(number, steps, 0, 0.0))
    return _schedule(text, hires_steps, lambda number: _last_step(number, hires_steps, steps, 1.0))


def _schedule(text: str, steps: int, last_step: Callable[[str], int]) -> list[tuple[int, str]]:
    if "[" not in text or "]" not in text:
        return [(steps, text)]
    parser = _Parser(last_step)
    try:
        prompt = parser.parse(text)
    except _PlainText:
        return [(steps, text)]
    switches = sorted(step for step in parser.last_steps if step >= 1)
    changes = {steps, *switches}
    if parser.periods:
        changes.update(range(1, steps + 1))
    texts: dict[tuple[int, ...], str] = {}  # alternations come round again: the same state, the same text
    entries = []
    for step in sorted(changes):
        state = (bisect_left(switches, step), *((step - 1) % period for period in parser.periods))
        if state not in texts:
            texts[state] = _text_at(prompt, step)
        entries.append((step, texts[state]))
    return entries


def _last_step(number: str, steps: int, first_step: int, first_fraction: float) -> int:
    """The number of an edit as a step of a pass that begins after ``first_step`` and at ``first_fraction``."""
    value = float(number)
    value = (value - first_fraction) * steps if "." in number else value - first_step
    return int(max(-1, min(steps, value)))  # clamped first: the number may be infinite


def _text_at(prompt: Branch, step: int) -> str:
    """The prompt as it reads at one step.  Without recursion: people nest as deep as they like."""
    read: list[str] = []
    unread: list[Iterator[Piece]] = [iter((prompt,) if isinstance(prompt, str) else prompt)]
    while unread:
        for piece in unread[-1]:
            branch = piece if isinstance(piece, str) else piece.at(step)
            if isinstance(branch, str):
                read.append(branch)
            else:
                unread.append(iter(branch))
                break
        else:
            unread.pop()
    return "".join(read)


class _PlainText(Exception):
    """The text has no sound reading as pieces, so all of it is plain, edits included."""


class _Bracket(NamedTuple):
    """An open bracket: where it stands in the list of pieces, and where its own marks begin in the list of marks."""

    kind: str
    start: int
    first_mark: int


class _Parser:
    """One walk over a prompt, linear in its length: every piece is moved at most once, into the edit it belongs to.

    A bracket counts only if all within it is sound too: one that has no partner, or holds colons and no number, makes
    itself and every bracket around it plain text.  As in A1111, a bar outside of an alternation, or a backslash with
    nothing to escape, makes the whole prompt plain text.  (Where stray brackets or colons leave several readings,
    A1111's choice between them varies from run to run; this one always takes the edit.)
    """

    def __init__(self, last_step: Callable[[str], int]) -> None:
        """last_step: what the number of an edit, as typed, means in this pass."""
        self.last_steps: set[int] = set()
        self.periods: set[int] = set()  # the numbers of options that alternations have
        self._last_step = last_step
        self._pieces: list[Piece] = []
        self._open: list[_Bracket] = []
        self._marks: list[int] = []  # where the colons and bars directly inside the open brackets stand

    def parse(self, text: str) -> Branch:
        """The prompt's pieces in order.  Raises _PlainText."""
        pieces, opened = self._pieces, self._open
        for token in _TOKEN.findall(text):
            kind = _KINDS.get(token)
            if kind in _PARTNERS:
                self._close(kind, token)
                continue
            if kind == "[" or kind == "(":
                opened.append(_Bracket(kind, len(pieces), len(self._marks)))
            elif kind == "\\" or (kind == "|" and not (opened and opened[-1].kind == "[")):
                raise _PlainText
            elif kind and opened:
                self._marks.append(len(pieces))
            pieces.append(token)
        self._give_up_brackets()
        return _branch(pieces)

    def _close(self, kind: str, token: str) -> None:
        if not self._open or self._open[-1].kind != _PARTNERS[kind]:
            self._give_up_brackets()
            self._pieces.append(token)
            return
        _, start, first_mark = self._open[-1]
        marks = self._marks[first_mark:]
        if not marks or (kind == ")" and len(marks) == 1):  # emphasis: text, as far as editing is concerned
            self._pieces.append(token)
        elif kind == "]" and (node := self._node(start, marks)):
            self._pieces[start:] = [node]
        else:
            self._give_up_brackets()
            self._pieces.append(token)
            return
        self._open.pop()
        del self._marks[first_mark:]

    def _node(self, start: int, marks: Sequence[int]) -> Edit | Alternation | None:
        """``[option|option]``, ``[after:n]`` or ``[before:after:n]``; None if the bracket is none of them."""
        bars = [self._pieces[mark] for mark in marks].count("|")
        if bars == len(marks):
            self.periods.add(len(marks) + 1)
            return Alternation(self._split(start, [*marks, len(self._pieces)]))
        if bars:
            marks = self._colons_around_braces(start, marks)
        number = _NUMBER.fullmatch(self._text_after(marks[-1])) if 1 <= len(marks) <= 2 else None
        if number is None:
            return None
        before, after = self._split(start, marks) if len(marks) == 2 else ("", *self._split(start, marks))
        last_step = self._last_step(number[1])
        self.last_steps.add(last_step)
        return Edit(before, after, last_step)

    def _colons_around_braces(self, start: int, marks: Sequence[int]) -> list[int]:
        """The colons, if the first bar follows a brace, else nothing: bars and colons in one bracket are no edit, but
        A1111's documentation makes one of ``[{b|d{:.5]``."""
        bar = next(mark for mark in marks if self._pieces[mark] == "|")
        brace = any(isinstance(piece, str) and "{" in piece for piece in self._pieces[start:bar])
        return [mark for mark in marks if self._pieces[mark] != "|"] if brace else []

    def _text_after(self, mark: int) -> str:
        """The last piece, if it is text and directly follows the mark."""
        last = self._pieces[-1]
        return last if isinstance(last, str) and mark == len(self._pieces) - 2 else ""

    def _split(self, start: int, ends: Sequence[int]) -> tuple[Branch, ...]:
        """What stands between the bracket at ``start``, the first end, the second end, ..."""
        return tuple([_branch(self._pieces[i + 1 : end]) for i, end in zip([start, *ends], ends, strict=False)])

    def _give_up_brackets(self) -> None:
        """Make every open bracket plain text, with its marks; a bar would then be outside of an alternation."""
        if any(self._pieces[mark] == "|" for mark in self._marks):
            raise _PlainText
        self._open.clear()
        self._marks.clear()


def _branch(pieces: Sequence[Piece]) -> Branch:
    """The pieces with runs of text joined; just the text if there is nothing else."""
    if len(pieces) == 1:
        return pieces[0] if isinstance(pieces[0], str) else (pieces[0],)
    joined: list[Piece] = []
    for kind, run in groupby(pieces, key=type):
        if kind is str:
            joined.append("".join(map(str, run)))
        else:
            joined.extend(run)
    if not joined:
        return ""
    return joined[0] if len(joined) == 1 and isinstance(joined[0], str) else tuple(joined)
