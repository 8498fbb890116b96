"""Calls of A1111's API that are being answered, each with the jobs it takes: what progress, skip and interrupt mean."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from inkwash.core.request import GenerateRequest
from inkwash.jobs.protocol import Job


@dataclass(eq=False)
class Call:
    """What a client waits for.  jobs: those under way, oldest first; total: of the whole call, as far as is known."""

    submit: Callable[[GenerateRequest], Job]
    total: int = 1
    done: int = 0
    stopped: bool = False
    first: Job | None = None
    jobs: list[str] = field(default_factory=list)


class Calls:
    """Those that are being answered.  Safe for threads."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._lock = threading.Lock()

    @contextmanager
    def open(self, call: Call) -> Iterator[None]:
        with self._lock:
            self._calls.append(call)
        try:
            yield
        finally:
            with self._lock:
                self._calls.remove(call)

    def of(self, job: str) -> Call | None:
        """The call that a job under way belongs to."""
        with self._lock:
            return next((call for call in self._calls if job in call.jobs), None)
