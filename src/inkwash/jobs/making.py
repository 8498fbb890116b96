"""Jobs that write models: converted, pruned, merged, each in a thread of its own beside the drawing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any

from inkwash.checkpoint.catalog import Catalog
from inkwash.checkpoint.making import Making, check_target, planned, target_of
from inkwash.core import files
from inkwash.core.errors import Cancelled
from inkwash.jobs.protocol import Bench, Glimpse, Lease

TELL_EVERY = 0.25
"""Seconds between two glimpses of a job."""

PATIENCE = 5.0
"""Seconds that a cancelled job takes to reach its next tensor and clean up."""

Stopped = Callable[[], bool]


def making_of(request: Mapping[str, Any]) -> tuple[Making, str]:
    """The order in a job's request, and the name of what is made."""
    values = dict(request)
    name = str(values.pop("name"))
    return Making(**values | {"sources": tuple(values["sources"])}), name


@dataclass(frozen=True)
class Maker:
    """Carries out one job.  catalog: its first root is where the result goes.  Raises as ``planned`` does, CannotWrite,
    Cancelled within one tensor once ``stopped`` says so, StaleLease.
    """

    catalog: Catalog
    bench: Bench
    glimpse: Callable[[Glimpse], None]
    clock: Callable[[], float] = time.monotonic

    def __call__(self, lease: Lease, stopped: Stopped) -> Sequence[str]:
        """Returns what the person should know."""
        making, name = making_of(lease.request)
        target, tell = target_of(making, name, self.catalog.roots[0]), Telling(lease, self.glimpse, stopped, self.clock)
        check_target(target)
        tell(0, 0)
        with planned(making, self.catalog) as plan:
            files.check_room(target, plan.nbytes)
            plan.write(target, tell, new=True)
        answer = {"name": name, "bytes": plan.nbytes, "tensors": len(plan.tensors), "dropped": dict(plan.dropped)}
        self.bench.keep(lease, "model", "application/json", json.dumps(answer).encode(), answer)
        return plan.notes


@dataclass
class Telling:
    """The progress of one job, not too often.  Raises Cancelled."""

    lease: Lease
    glimpse: Callable[[Glimpse], None]
    stopped: Stopped
    clock: Callable[[], float]
    begun: float = field(init=False)
    last: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()
        self.last = self.begun - TELL_EVERY

    def __call__(self, done: int, total: int) -> None:
        if self.stopped():
            raise Cancelled()
        now = self.clock()
        if now - self.last < TELL_EVERY and done < total:
            return
        self.last, fraction = now, done / total if total else 0.0
        left = (now - self.begun) * (1 - fraction) / fraction if fraction else None
        self.glimpse(
            Glimpse(
                job=self.lease.job, picture=0, pictures=1, step=done, steps=total, sigma=0.0, fraction=fraction,
                seconds_left=left, stage="writing",
            )
        )  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A job that ended; implements ``drawing.Ended``."""

    ticket: int
    value: Sequence[str] = ()
    error: Exception | None = None


class Makings:
    """Those under way.  One thread calls all of it; only ``make`` runs in others."""

    def __init__(self, make: Callable[[Lease, Stopped], Sequence[str]]) -> None:
        self.make = make
        self._tickets = count(1 << 40)  # apart from a session's
        self._threads: dict[int, tuple[threading.Thread, threading.Event]] = {}
        self._ended: SimpleQueue[Made] = SimpleQueue()

    def __len__(self) -> int:
        return len(self._threads)

    def begin(self, lease: Lease, stopped: Stopped) -> int:
        """Returns the job's ticket."""
        ticket, cancelled = next(self._tickets), threading.Event()

        def work() -> None:
            try:
                value = self.make(lease, lambda: cancelled.is_set() or stopped())
            except Exception as error:
                self._ended.put(Made(ticket, error=error))
            else:
                self._ended.put(Made(ticket, value))

        thread = threading.Thread(target=work, daemon=True)
        self._threads[ticket] = thread, cancelled
        thread.start()
        return ticket

    def cancel(self, ticket: int) -> None:
        """Stop it at its next tensor, so that nothing of it is left.  Unknown tickets are ignored."""
        thread, cancelled = self._threads.pop(ticket, (None, None))
        if thread is not None and cancelled is not None:
            cancelled.set()
            thread.join(PATIENCE)

    def ended(self, wait: float) -> list[Made]:
        """Those that ended since; waits for one if told to."""
        found = list[Made]()
        while self._threads:
            try:
                made = self._ended.get(timeout=wait) if wait and not found else self._ended.get_nowait()
            except Empty:
                break
            if self._threads.pop(made.ticket, None):
                found.append(made)
        return found
