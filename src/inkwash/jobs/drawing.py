"""A worker's drawing thread: claims jobs, feeds one session with them, and brings what they made."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from inkwash.core.errors import Cancelled, InkwashError, OutOfMemory
from inkwash.jobs.inbox import Inbox, Will
from inkwash.jobs.protocol import Bench, Lease, StaleLease
from inkwash.jobs.wire import Gone

logger = logging.getLogger(__name__)

IDLE = 2.0
"""Seconds after which an idle worker asks by itself, should a wake-up have been lost."""


class Ended(Protocol):
    """A job that left the session."""

    @property
    def ticket(self) -> int: ...

    @property
    def error(self) -> Exception | None: ...

    @property
    def value(self) -> Any:
        """Its warnings, unless there is an error."""
        ...


class Easel(Protocol):
    """Where jobs are drawn side by side: ``worker.Studio``, or a test's own."""

    def __len__(self) -> int: ...

    def fits(self, lease: Lease) -> bool: ...

    def add(self, lease: Lease, will: Will) -> int:
        """Raises InkwashError for what cannot be drawn."""
        ...

    def cancel(self, ticket: int) -> None: ...

    def step(self) -> Sequence[Ended]: ...

    def load(self, model: str | None) -> None: ...

    def unload(self) -> None:
        """Let go of every model; nothing is being drawn."""
        ...

    def clear(self) -> None:
        """After memory ran out: give back what can be."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """For the heartbeat: model, device, dtype, seconds_per_step."""
        ...


@dataclass(frozen=True)
class Beat:
    """What the heartbeat tells: written by the drawing thread, read by the one that beats."""

    leases: tuple[Lease, ...]
    since: float  # when the drawing thread last got anywhere
    facts: Mapping[str, Any]


class Drawing:
    """room: jobs side by side.  ``beat`` is replaced, never changed, so another thread may read it."""

    def __init__(
        self, bench: Bench, easel: Easel, inbox: Inbox, *, room: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.bench = bench
        self.easel = easel
        self.inbox = inbox
        self.room = room
        self.clock = clock
        self.beat = Beat((), clock(), easel.facts())
        self._jobs: dict[int, Lease] = {}  # by ticket
        self._held: Lease | None = None  # claimed, but of another model than what is being drawn
        self._ask = True

    def run(self) -> None:
        """Work until told to drain; then what is finished is finished and the rest handed back.  Raises Gone."""
        while not self._left():
            self._ask |= self.inbox.news()
            self._drop_cancelled()
            self._load()
            self._take()
            self._note()
            if self._jobs:
                self._step()
            else:
                self.inbox.news(IDLE)
                self._ask = True

    def _left(self) -> bool:
        """Whether the worker may go; hands back what it has when the time is up."""
        if self.inbox.deadline is None:
            return False
        if self._held is not None:
            self._hand_back(self._held)
            self._held = None
        if self.inbox.expired:
            for ticket, lease in self._jobs.items():
                self.easel.cancel(ticket)
                self._hand_back(lease)
            self._jobs.clear()
        return not self._jobs

    def _drop_cancelled(self) -> None:
        for ticket, lease in list(self._jobs.items()):
            if self.inbox.cancelled(lease.job):
                self.easel.cancel(ticket)
                self._forget(ticket)

    def _load(self) -> None:
        """A model somebody wishes for, or none at all, when nobody is disturbed by it."""
        if self._jobs or self._held:
            return
        for wish in self.inbox.wishes():
            try:
                self.easel.load(wish.model) if wish.kind == "load" else self.easel.unload()
            except InkwashError as error:
                logger.warning("%s", error)

    def _take(self) -> None:
        """Claim what may join: another model, and a job that failed before, wait until nobody draws."""
        if self._held is not None and (not self._jobs or self.easel.fits(self._held)):
            held, self._held = self._held, None
            self._begin(held)
        if not self._jobs and self._held is None:
            self.inbox.forget_all()
        while self._ask and self._may_take():
            lease = self._claimed()
            if lease is None:
                self._ask = False
            elif self.easel.fits(lease):
                self._begin(lease)
            else:
                self._held = lease

    def _claimed(self) -> Lease | None:
        try:
            return self.bench.claim("", model=self._joinable())
        except Gone:
            raise
        except InkwashError as error:  # such as a full disk: the lease could not be written down
            logger.error("no job can be claimed: %s", error)
            return None

    def _may_take(self) -> bool:
        alone = any(lease.attempt > 1 for lease in self._jobs.values())
        return self.inbox.deadline is None and self._held is None and not alone and len(self._jobs) < self.room

    def _joinable(self) -> str | None:
        """The model that a job must name to join now; None: any.  Jobs that write models draw with none."""
        drawn = (lease for lease in self._jobs.values() if lease.kind != "model")
        return next((str(lease.request.get("model") or "") for lease in drawn), None)

    def _begin(self, lease: Lease) -> None:
        self._jobs[-1] = lease  # the heart beats for it while its model is loaded
        self._note()
        try:
            ticket = self.easel.add(lease, Will(self.inbox, lease.job))
        except Exception as error:
            self._forget(-1)
            self._failed(lease, error)
        else:
            del self._jobs[-1]
            self._jobs[ticket] = lease

    def _step(self) -> None:
        for ended in self.easel.step():
            lease = self._forget(ended.ticket)
            if lease is None:
                continue
            if ended.error is not None:
                self._failed(lease, ended.error)
            else:
                self._finished(lease, ended.value)

    def _finished(self, lease: Lease, warnings: Sequence[str]) -> None:
        try:
            self.bench.finish(lease, warnings)
        except Gone:
            raise
        except InkwashError as error:  # too late, or a full disk: the lease runs out and the job is drawn again
            logger.error("job %s cannot be finished: %s", lease.job, error)

    def _failed(self, lease: Lease, error: Exception) -> None:
        """Every error ends one job only; which ones earn another attempt is decided here."""
        if isinstance(error, Gone):
            raise error
        if isinstance(error, Cancelled | StaleLease):
            return
        crowded = bool(self._jobs)
        if isinstance(error, OutOfMemory):
            self.easel.clear()
        try:
            if isinstance(error, InkwashError):
                again = isinstance(error, OutOfMemory) and crowded  # alone it may fit
                self.bench.fail(lease, error.message, error.remedy, again=again)
            else:
                logger.exception("job %s", lease.job, exc_info=error)
                remedy = "The log has the details; please report it."
                self.bench.fail(lease, f"Inkwash itself failed: {error!r}.", remedy, again=False)
        except Gone:
            raise
        except InkwashError as worse:  # not wanted any more, or not even the failure can be written
            logger.error("job %s cannot be failed: %s", lease.job, worse)

    def _hand_back(self, lease: Lease) -> None:
        with contextlib.suppress(StaleLease):
            self.bench.hand_back(lease)

    def _forget(self, ticket: int) -> Lease | None:
        lease = self._jobs.pop(ticket, None)
        if lease is not None:
            self.inbox.forget(lease.job)
            self._ask = True
        return lease

    def _note(self) -> None:
        leases = (*self._jobs.values(), *((self._held,) if self._held else ()))
        self.beat = Beat(leases, self.clock(), self.easel.facts())
