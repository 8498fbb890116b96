"""Many requests on one engine: they join at the next step, share calls where they may, and end one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from inkwash.core.errors import InkwashError
from inkwash.core.progress import Progress
from inkwash.core.request import GenerateRequest
from inkwash.generation.loop import Finished, Loop
from inkwash.generation.run import Run
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.runtime.memory import memory_errors
from inkwash.runtime.sharing import SharingCheck

SIDE_BY_SIDE = 16
"""Pictures drawn at once, unless told otherwise."""

View = Callable[[StableDiffusion], StableDiffusion]
"""The same weights, seen otherwise: ``models.observed`` for one."""


@dataclass(frozen=True, eq=False)
class Work:
    """What a request comes to: batches of runs, one after another, and what is made of their values at the end.

    The runs are not begun yet; a batch is asked for when the one before it is finished.
    """

    request: GenerateRequest
    batches: Iterator[Sequence[Run[Any]]]
    finish: Callable[[list[Any]], Any]  # values of all runs, in order
    strict: bool
    warnings: list[str] = field(default_factory=list)  # what the person should know though nothing is wrong


class Studio(Protocol):
    """The part of ``Engine`` that a session needs."""

    sharing: SharingCheck

    def work(self, request: GenerateRequest, progress: Progress | None, view: View | None) -> Work: ...

    def model(self, name: str | None, vae: str | None, progress: Progress | None, *, ema: bool) -> StableDiffusion: ...

    def holds(self, model: str | None, vae: str | None, ema: bool) -> bool: ...


@dataclass(frozen=True, eq=False)
class Ended:
    """A request that left the session: with its result, or with the error that ended it (Cancelled among them)."""

    ticket: int
    value: Any = None
    error: Exception | None = None

    def result(self) -> Any:
        """The value; raises the error."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(eq=False)
class _Order:
    """A request under way."""

    ticket: int
    work: Work
    waiting: deque[tuple[int, Run[Any]]] = field(default_factory=deque)  # of the batch under way: (index, run)
    running: dict[int, int] = field(default_factory=dict)  # loop's ticket -> index
    values: dict[int, Any] = field(default_factory=dict)
    begun: int = 0

    def next_batch(self) -> bool:
        """Whether there was another."""
        for batch in self.work.batches:
            self.waiting.extend(enumerate(batch, self.begun))
            self.begun += len(batch)
            return True
        return False


class Session:
    """Requests side by side.  Strict ones are drawn bit for bit as they would be alone.

    side_by_side: pictures in the loop.  A request always has one of them at work, so the true bound is that many or
    the number of requests, whichever is larger; free seats go to whoever has fewest.
    One thread, as the engine.
    """

    def __init__(self, engine: Studio, side_by_side: int = SIDE_BY_SIDE) -> None:
        self.engine = engine
        self.side_by_side = side_by_side
        self._tickets = count()
        self._orders: dict[int, _Order] = {}
        self._loops = self._new_loops()

    def __len__(self) -> int:
        """Requests under way."""
        return len(self._orders)

    def fits(self, model: str | None, vae: str | None, ema: bool = False) -> bool:
        """Whether a request for this model can join now: another model is loaded only when nobody draws."""
        return not self._orders or self.engine.holds(model, vae, ema)

    def add(self, request: GenerateRequest, progress: Progress | None = None) -> int:
        """Take in a request; loads its model if nobody draws.  Returns its ticket.

        Raises InkwashError for what cannot be drawn; nothing else is disturbed by it.
        """
        return self.take(self.work(request, progress))

    def work(
        self, request: GenerateRequest, progress: Progress | None = None, view: View | None = None
    ) -> Work:  # fmt: skip
        """What ``add`` takes in; for who wants to change it on the way.  view: of the model, to draw with."""
        self._make_ready(request.model, request.vae, request.ema)
        return self.engine.work(request, progress, view)

    def model(
        self, name: str | None, vae: str | None = None, progress: Progress | None = None, *, ema: bool = False
    ) -> StableDiffusion:
        """The model that runs may be made of, loaded if nobody draws."""
        self._make_ready(name, vae, ema)
        return self.engine.model(name, vae, progress, ema=ema)

    def forget(self) -> None:
        """Let go of what is remembered of models, texts among it; nobody may be drawing."""
        self._loops = self._new_loops()

    def take(self, work: Work) -> int:
        """Take in runs of the model in memory.  Returns the ticket."""
        order = _Order(next(self._tickets), work)
        self._orders[order.ticket] = order
        return order.ticket

    def cancel(self, ticket: int) -> None:
        """Drop a request where it stands; the others do not notice.  Unknown tickets are ignored."""
        order = self._orders.pop(ticket, None)
        if order is not None:
            for run in order.running:
                self._loops[order.work.strict].cancel(run)

    def step(self) -> list[Ended]:
        """Take every picture one question further.  Returns the requests that ended."""
        ended = self._seat()
        for strict, loop in self._loops.items():
            for finished in loop.step() if len(loop) else ():
                ended += self._settle(strict, finished)
        return ended

    def _make_ready(self, model: str | None, vae: str | None, ema: bool) -> None:
        """Raises InkwashError if somebody draws with another model."""
        if not self.fits(model, vae, ema):
            raise InkwashError("Another model is being drawn with.", "Wait until the session is empty.")
        if not self._orders:
            self._loops = self._new_loops()  # what they remember belongs to the model that was

    def _new_loops(self) -> dict[bool, Loop]:
        return {strict: Loop(strict=strict, sharing=self.engine.sharing) for strict in (True, False)}

    def _seat(self) -> list[Ended]:
        """Give free seats to waiting pictures, the request with fewest at work first.  Returns who had none to draw."""
        ended = []
        for order in list(self._orders.values()):
            if not order.waiting and not order.running:
                ended += self._advance(order)
        while (needy := self._neediest()) is not None:
            index, run = needy.waiting.popleft()
            needy.running[self._loops[needy.work.strict].add(run)] = index
        return ended

    def _neediest(self) -> _Order | None:
        waiting = [order for order in self._orders.values() if order.waiting]
        order = min(waiting, key=lambda order: len(order.running), default=None)
        taken = sum(len(order.running) for order in self._orders.values())
        return order if order is not None and (taken < self.side_by_side or not order.running) else None

    def _settle(self, strict: bool, finished: Finished) -> list[Ended]:
        """Note what a run returned; its error ends its request, and no other."""
        for order in self._orders.values():
            if order.work.strict == strict and finished.ticket in order.running:
                break
        else:
            return []  # its request was cancelled in the very step it finished
        index = order.running.pop(finished.ticket)
        order.work.warnings.extend(note for note in finished.notes if note not in order.work.warnings)
        if finished.error is not None:
            self.cancel(order.ticket)
            return [Ended(order.ticket, error=_in_words(finished.error, order.work.request))]
        order.values[index] = finished.value
        return [] if order.waiting or order.running else self._advance(order)

    def _advance(self, order: _Order) -> list[Ended]:
        """Begin the request's next batch, or end it."""
        try:
            if order.next_batch():
                return []
            value = order.work.finish([order.values[index] for index in sorted(order.values)])
        except Exception as error:
            self.cancel(order.ticket)
            return [Ended(order.ticket, error=_in_words(error, order.work.request))]
        del self._orders[order.ticket]
        return [Ended(order.ticket, value)]


def _in_words(error: Exception, request: GenerateRequest) -> Exception:
    """Running out of memory as OutOfMemory; anything else as it is."""
    try:
        with memory_errors(request):
            raise error
    except Exception as told:
        return told
