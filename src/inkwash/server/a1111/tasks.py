"""Clients' own task ids (force_task_id) and the jobs they mean."""

from __future__ import annotations

import threading
from collections import OrderedDict

REMEMBERED = 10_000


class Tasks:
    """The latest job of each (user, task); old ones are forgotten.  Safe for threads."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, user: str, task: str, job: str) -> None:
        with self._lock:
            self._jobs[user, task] = job
            self._jobs.move_to_end((user, task))
            while len(self._jobs) > REMEMBERED:
                self._jobs.popitem(last=False)

    def job(self, user: str, task: str) -> str | None:
        with self._lock:
            return self._jobs.get((user, task))

    def task(self, user: str, job: str) -> str:
        """The task id of a job: the client's own, else the job's id."""
        with self._lock:
            return next((task for (who, task), known in self._jobs.items() if (who, known) == (user, job)), job)
