"""What the owner orders a worker to do, as the worker's drawing thread finds it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

GRACE = 20.0
"""Seconds a worker takes to finish what it draws when it is told to stop without being told how long."""


@dataclass(frozen=True)
class Wish:
    """What is wished of a worker's models: one loaded, or all of them out of memory."""

    kind: Literal["load", "unload"]
    model: str | None = None


@dataclass(frozen=True)
class Will:
    """What people want of one job by now; read anew at every look."""

    inbox: Inbox
    job: str

    def cancelled(self) -> bool:
        return self.inbox.cancelled(self.job)

    def interrupted(self) -> bool:
        """No batch is to be begun any more, and those at work end as they stand."""
        return self.job in self.inbox.interrupted

    def skips(self) -> int:
        """How often the batch at work was to be ended."""
        return self.inbox.skips[self.job]


class Inbox:
    """Filled by the thread that listens, emptied by the one that draws."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.deadline: float | None = None  # draining: no new job; what is unfinished then is handed back
        self._news = threading.Event()
        self._lock = threading.Lock()
        self.interrupted: set[str] = set()
        self.skips: Counter[str] = Counter()
        self._cancelled: set[str] = set()
        self._wishes: list[Wish] = []

    def order(self, order: Mapping[str, Any]) -> None:
        """One of wake, cancel (job), interrupt (job), skip (job), load (model), unload, drain (grace)."""
        with self._lock:
            match order["order"]:
                case "cancel":
                    self._cancelled.add(order["job"])
                case "interrupt":
                    self.interrupted.add(order["job"])
                case "skip":
                    self.skips[order["job"]] += 1
                case "load":
                    self._wishes = [Wish("load", order["model"])]
                case "unload":
                    self._wishes = [Wish("unload")]
                case "drain":
                    self.deadline = self.clock() + float(order.get("grace", GRACE))
        self._news.set()

    def lost(self, job: str) -> None:
        """The owner does not count this job as this worker's any more."""
        with self._lock:
            self._cancelled.add(job)
        self._news.set()

    def cancelled(self, job: str) -> bool:
        return job in self._cancelled

    def forget(self, job: str) -> None:
        """The job has left the worker."""
        with self._lock:
            self._cancelled.discard(job)
            self.interrupted.discard(job)
            del self.skips[job]

    def forget_all(self) -> None:
        """The worker has no job; what is cancelled from now on is what it claims from now on."""
        with self._lock:
            self._cancelled.clear()
            self.interrupted.clear()
            self.skips.clear()

    def wishes(self) -> list[Wish]:
        """What somebody wishes of the models, if there is a wish; it is gone then."""
        with self._lock:
            wishes, self._wishes = self._wishes, []
        return wishes

    @property
    def expired(self) -> bool:
        return self.deadline is not None and self.clock() >= self.deadline

    def news(self, wait: float = 0.0) -> bool:
        """Whether anything was ordered since the last call; waits for it if told to."""
        arrived = self._news.wait(wait) if wait else self._news.is_set()
        self._news.clear()
        return arrived
