"""Many runs at once, sharing U-Net calls where they may: continuous batching for diffusion.

Every call of ``Loop.step`` answers the question each run is waiting with, so pictures at different steps, seeds,
samplers and prompts advance together, and a run added now takes part in the next step.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from inkwash.generation.conditioning import to_common_length
from inkwash.generation.run import (
    Decode,
    Denoise,
    Encode,
    Encoded,
    EncodeText,
    Enlarge,
    Question,
    RestoreFaces,
    Run,
    Together,
)
from inkwash.generation.text import encode_chunks
from inkwash.generation.thrift import Note, autoencoded, by_rows, silent
from inkwash.imaging.upscale import Pieces
from inkwash.runtime.sharing import SharingCheck

TEXTS_KEPT = 256
"""Encoded prompts remembered; at SD1 sizes about 240 kB each."""

MAX_ROWS = 16
"""Rows of one U-Net call, unless told otherwise."""

SHARED_PIXELS = 32 * 32
"""Latent pixels up to which strict mode tries shared calls: larger pictures keep a CPU busy by themselves."""

Answer = Tensor | list[Tensor] | list[list[Tensor]] | Encoded | Image.Image


@dataclass(frozen=True, eq=False)
class Finished:
    """A run that left the loop: with its return value, or with the error that ended it."""

    ticket: int
    value: Any = None
    error: Exception | None = None
    notes: tuple[str, ...] = ()  # what the person should know of how it was drawn


@dataclass(eq=False)
class _Seat:
    ticket: int
    run: Run[Any]
    question: Question
    notes: dict[str, None]  # in order, each once
    work: Pieces | None = None  # the answer to an Enlarge or RestoreFaces, as far as it is

    def note(self, sentence: str) -> None:
        self.notes[sentence] = None


class Loop:
    """Holds runs and answers their questions.

    strict: pictures are bit-identical however they are grouped.  Each picture's rows get a call of their own, or a
    shared one where ``sharing`` has shown on this machine that the rows come out the same bit for bit.
    Otherwise ("fast") whatever has the same shape shares calls, within rounding of the strict result.
    max_rows: the most rows of one U-Net call.
    """

    def __init__(self, *, strict: bool, sharing: SharingCheck | None = None, max_rows: int = MAX_ROWS) -> None:
        self.strict = strict
        self.sharing = sharing
        self.max_rows = max_rows
        self._tickets = count()
        self._seats: dict[int, _Seat] = {}
        self._finished: list[Finished] = []
        self._texts: OrderedDict[tuple[Any, ...], Encoded] = OrderedDict()

    def __len__(self) -> int:
        """Runs at work, and those that have ended and were not told of yet."""
        return len(self._seats) + len(self._finished)

    def add(self, run: Run[Any]) -> int:
        """Take in a run; it joins at the next step.  Returns its ticket."""
        ticket = next(self._tickets)
        self._resume(ticket, run, lambda: run.send(None), {})
        return ticket

    def cancel(self, ticket: int) -> None:
        """Drop a run where it stands; the others do not notice.  Unknown or finished tickets are ignored."""
        seat = self._seats.pop(ticket, None)
        if seat is not None:
            seat.run.close()

    def step(self) -> list[Finished]:
        """Answer every waiting question once; an Enlarge, which can take minutes, is taken one tile further,
        a RestoreFaces one face.

        Returns the runs that ended since the last step.
        """
        seats = list(self._seats.values())
        answers: dict[int, Answer | Exception] = {}
        for seat in seats:
            if isinstance(seat.question, Enlarge | RestoreFaces):
                large = _caught(lambda seat=seat: _further(seat))  # type: ignore[misc]
                answers |= {} if large is None else {seat.ticket: large}
            elif not isinstance(seat.question, Denoise):
                answers[seat.ticket] = _caught(lambda seat=seat: self._alone(seat.question, seat.note))  # type: ignore[misc]
        for group in self._groups(seat for seat in seats if isinstance(seat.question, Denoise)):
            answers.update(self._denoise(group))
        for seat in seats:
            # Still under way, or cancelled by a neighbour's callback: not answered.
            if seat.ticket in answers and seat.ticket in self._seats:
                self._answer(seat, answers[seat.ticket])
        finished, self._finished = self._finished, []
        return finished

    def _answer(self, seat: _Seat, answer: Answer | Exception) -> None:
        run = seat.run
        resume = (lambda: run.throw(answer)) if isinstance(answer, Exception) else (lambda: run.send(answer))
        self._resume(seat.ticket, run, resume, seat.notes)

    def _resume(self, ticket: int, run: Run[Any], resume: Callable[[], Question], notes: dict[str, None]) -> None:
        """Advance a run to its next question, or out of the loop."""
        self._seats.pop(ticket, None)
        try:
            self._seats[ticket] = _Seat(ticket, run, resume(), notes)
        except StopIteration as stop:
            self._finished.append(Finished(ticket, value=stop.value, notes=tuple(notes)))
        except Exception as error:
            self._finished.append(Finished(ticket, error=error))

    def _alone(self, question: EncodeText | Encode | Decode | Together, note: Note) -> Answer:
        """Questions that share no call with others': one picture's VAE pass or tiles; a text, once for all who ask."""
        match question:
            case EncodeText():
                return self._encode_text(question)
            case Encode(model, picture):
                return autoencoded(model, picture[0].numel(), lambda model: model.encode(picture), note)
            case Decode(model, latents):
                pixels = latents[0].numel() * model.latent_factor**2
                return autoencoded(model, pixels, lambda model: model.decode(latents), note)
            case Together():
                return self._call(list(question.parts), note)

    def _encode_text(self, question: EncodeText) -> Encoded:
        key = (question.model, question.chunks, question.clip_skip, question.emphasis)
        if key not in self._texts:
            self._texts[key] = encode_chunks(*key)
            if len(self._texts) > TEXTS_KEPT:
                self._texts.popitem(last=False)
        self._texts.move_to_end(key)
        return self._texts[key]

    def _groups(self, seats: Iterator[_Seat]) -> list[list[_Seat]]:
        groups: dict[tuple[Any, ...], list[_Seat]] = {}
        for seat in seats:
            assert isinstance(seat.question, Denoise)
            groups.setdefault(_shape(seat.question, self.strict), []).append(seat)
        return list(groups.values())

    def _denoise(self, seats: list[_Seat]) -> dict[int, Answer | Exception]:
        """Answer one group.  If a shared call fails, each run is tried alone, so that only the guilty one ends."""
        answers: dict[int, Answer | Exception] = {}
        for batch in self._batches(seats):
            questions = [seat.question for seat in batch if isinstance(seat.question, Denoise)]
            note = _noting(batch)
            shared = _caught(lambda questions=questions, note=note: self._call(questions, note))  # type: ignore[misc]
            if isinstance(shared, Exception) and len(batch) > 1:
                alone = zip(questions, batch, strict=True)
                results = [_caught(lambda one=one, seat=seat: denoise([one], seat.note)[0]) for one, seat in alone]  # type: ignore[misc]
            else:
                results = [shared] if isinstance(shared, Exception) else shared
            answers.update((seat.ticket, result) for seat, result in zip(batch, results, strict=True))
        return answers

    def _batches(self, seats: list[_Seat]) -> Iterator[list[_Seat]]:
        """Cut a group into calls of at most ``max_rows`` rows (more only if one picture alone has more)."""
        batch: list[_Seat] = []
        rows = 0
        for seat in seats:
            more = len(seat.question.rows) if isinstance(seat.question, Denoise) else 0
            if batch and rows + more > self.max_rows:
                yield batch
                batch, rows = [], 0
            batch.append(seat)
            rows += more
        yield batch

    def _call(self, questions: list[Denoise], note: Note) -> list[list[Tensor]]:
        if not self.strict or len(questions) == 1:
            return denoise(questions, note)
        return self._strictly(questions, note)

    def _strictly(self, questions: list[Denoise], note: Note) -> list[list[Tensor]]:
        """Own calls, or shared ones that are proven equal.  An unproven size is tried beside the own calls."""
        size, first = len(questions), questions[0].rows
        if self.sharing is None or size == 1 or first[0].x[0].numel() > SHARED_PIXELS:
            return [denoise([question], note)[0] for question in questions]
        kind, rows = _shape(questions[0], strict=True)[1:], len(first)
        trusted = self.sharing.trusted(kind, rows, size * rows)
        if trusted:
            return denoise(questions, note)
        if trusted is None:
            own = [denoise([question], note)[0] for question in questions]
            self.sharing.record(kind, rows, size * rows, _same(own, denoise(questions, note)))
            return own
        half = size // 2
        return self._strictly(questions[:half], note) + self._strictly(questions[half:], note)


def _further(seat: _Seat) -> Image.Image | None:
    """The picture enlarged by one tile more, or one face more restored; None while it is not finished."""
    question = seat.question
    assert isinstance(question, Enlarge | RestoreFaces)
    if seat.work is None:
        seat.work = question.pieces(seat.note)
    try:
        share = next(seat.work)
    except StopIteration as done:
        large: Image.Image = done.value
        return large
    if question.tell is not None:
        question.tell(share)
    return None


def denoise(questions: Sequence[Denoise], note: Note = silent) -> list[list[Tensor]]:
    """One U-Net call for all rows of all questions; several where memory is too short for one."""
    rows = [row for question in questions for row in question.rows]
    length = math.lcm(*(row.context.shape[0] for row in rows))
    contexts = to_common_length([row.context for row in rows], length)

    def call(part: slice) -> Tensor:
        return questions[0].model.denoise(
            torch.stack([row.x for row in rows[part]]),
            [row.sigma for row in rows[part]],
            torch.stack(contexts[part]),
            _stacked([row.concat for row in rows[part]]),
            _stacked([row.added for row in rows[part]]),
            [row.noise_level for row in rows[part] if row.noise_level is not None] or None,
        )

    answers = iter(by_rows(call, slice(0, len(rows)), note, most=questions[0].model.rows_for(rows[0].x[0].numel())))
    return [[next(answers) for _ in question.rows] for question in questions]


def _noting(seats: Sequence[_Seat]) -> Note:
    """What is said of a shared call is said of each who shares it."""

    def note(sentence: str) -> None:
        for seat in seats:
            seat.note(sentence)

    return note


def _stacked(tensors: list[Tensor | None]) -> Tensor | None:
    """What all rows of a call have, or none of them."""
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(present) if present else None


def _shape(question: Denoise, strict: bool) -> tuple[Any, ...]:
    """What must agree for two questions to share a call; in strict mode also all that a kernel's choice may hang on."""
    first = question.rows[0]
    shape: tuple[Any, ...] = (question.model, question.model.dtype, tuple(first.x.shape), first.concat is not None)
    if strict:
        length = math.lcm(*(row.context.shape[0] for row in question.rows))
        shape += (question.model.spec.unet, len(question.rows), length)
    return shape


def _same(left: list[list[Tensor]], right: list[list[Tensor]]) -> bool:
    return all(
        torch.equal(a, b) for mine, theirs in zip(left, right, strict=True) for a, b in zip(mine, theirs, strict=True)
    )


def _caught(call: Callable[[], Any]) -> Any:
    """The call's value, or the exception it ended with: an error belongs to the run that asked."""
    try:
        return call()
    except Exception as error:
        return error
