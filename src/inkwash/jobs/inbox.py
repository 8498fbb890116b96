"""What the owner orders a worker to do, as the worker's drawing thread finds it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

GRACE = 20.0
"""Seconds a worker takes to finish what it draws when it is told to stop without being told how long."""


class Inbox:
    """Filled by the thread that listens, emptied by the one that draws."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.deadline: float | None = None  # draining: no new job; what is unfinished then is handed back
        self._news = threading.Event()
        self._lock = threading.Lock()
        self._cancelled: set[str] = set()
        self._load: list[str | None] = []

    def order(self, order: Mapping[str, Any]) -> None:
        """One of wake, cancel (job), load (model), drain (grace)."""
        with self._lock:
            match order["order"]:
                case "cancel":
                    self._cancelled.add(order["job"])
                case "load":
                    self._load = [order["model"]]
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

    def forget_all(self) -> None:
        """The worker has no job; what is cancelled from now on is what it claims from now on."""
        with self._lock:
            self._cancelled.clear()

    def to_load(self) -> list[str | None]:
        """The model somebody wishes loaded, if there is a wish; it is gone then."""
        with self._lock:
            load, self._load = self._load, []
        return load

    @property
    def expired(self) -> bool:
        return self.deadline is not None and self.clock() >= self.deadline

    def news(self, wait: float = 0.0) -> bool:
        """Whether anything was ordered since the last call; waits for it if told to."""
        arrived = self._news.wait(wait) if wait else self._news.is_set()
        self._news.clear()
        return arrived
