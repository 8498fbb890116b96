"""Clients' own task ids (force_task_id) and the jobs they mean."""

from __future__ import annotations

import threading
from collections import OrderedDict

REMEMBERED = 10_000


class Tasks:
    """The latest job of each (user, task); old ones are forgotten.  Safe for threads."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._names: dict[str, str] = {}  # job -> task
        self._lock = threading.Lock()

    def put(self, user: str, task: str, job: str) -> None:
        with self._lock:
            self._forget((user, task))
            self._jobs[user, task] = job
            self._names[job] = task
            while len(self._jobs) > REMEMBERED:
                self._forget(next(iter(self._jobs)))

    def job(self, user: str, task: str) -> str | None:
        with self._lock:
            return self._jobs.get((user, task))

    def task(self, job: str) -> str:
        """The task id of a job: the client's own, else the job's id."""
        with self._lock:
            return self._names.get(job, job)

    def _forget(self, key: tuple[str, str]) -> None:
        if (job := self._jobs.pop(key, None)) is not None:
            self._names.pop(job, None)
