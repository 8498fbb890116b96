"""What happens right now, for whoever watches: glimpses and changes, the newest of each, nothing stored."""

from __future__ import annotations

import threading
from collections.abc import Callable

from inkwash.jobs.protocol import Glimpse, State
from inkwash.jobs.serving import News


class Eye:
    """One watcher.  What is new is gathered until it is taken."""

    def __init__(self, board: Board, wake: Callable[[], None], job: str | None, user: str | None) -> None:
        self.board = board
        self.wake = wake
        self.job = job
        self.user = user
        self._jobs: dict[str, None] = {}  # in the order of their change
        self._glimpses: dict[str, Glimpse] = {}
        self._lock = threading.Lock()

    def sees(self, job: str, user: str) -> bool:
        return self.job in (None, job) and self.user in (None, user)

    def take(self) -> News:
        with self._lock:
            news = News(jobs=tuple(self._jobs), glimpses=tuple(self._glimpses.values()))
            self._jobs, self._glimpses = {}, {}
        return news

    def close(self) -> None:
        self.board.forget(self)

    def note(self, job: str, glimpse: Glimpse | None) -> None:
        """Remember, and wake the watcher unless it has been woken already."""
        with self._lock:
            awake = bool(self._jobs or self._glimpses)
            if glimpse is None:
                self._jobs[job] = None
            else:
                self._glimpses[job] = glimpse.after(self._glimpses.get(job))
        if not awake:
            self.wake()


class Board:
    """Implements ``Live``.  ``changed`` and ``glimpse`` are how it learns; they may be called from any thread."""

    def __init__(self) -> None:
        self._eyes: set[Eye] = set()
        self._users: dict[str, str] = {}  # of jobs that have not ended
        self._queued: set[str] = set()
        self._latest: dict[str, Glimpse] = {}
        self._lock = threading.Lock()

    def watch(self, wake: Callable[[], None], *, job: str | None = None, user: str | None = None) -> Eye:
        eye = Eye(self, wake, job, user)
        with self._lock:
            self._eyes.add(eye)
        return eye

    def forget(self, eye: Eye) -> None:
        with self._lock:
            self._eyes.discard(eye)

    def latest(self, job: str) -> Glimpse | None:
        with self._lock:
            return self._latest.get(job)

    def changed(self, job: str, user: str, state: State) -> None:
        """A job's state or items changed; when one leaves the queue, the places of the others do too."""
        with self._lock:
            moved = {job}
            if state == "queued":
                self._queued.add(job)
            elif job in self._queued:
                self._queued.discard(job)
                moved |= self._queued
            self._users[job] = user
            if state != "running":
                self._latest.pop(job, None)
            notes = [(eye, one) for one in moved for eye in self._eyes if eye.sees(one, self._users[one])]
            if state not in ("queued", "running"):
                del self._users[job]
        for eye, one in notes:
            eye.note(one, None)

    def glimpse(self, glimpse: Glimpse) -> None:
        """How far a running job is; dropped if it does not run any more."""
        with self._lock:
            user = self._users.get(glimpse.job)
            if user is None or glimpse.job in self._queued:
                return
            self._latest[glimpse.job] = glimpse.after(self._latest.get(glimpse.job))
            eyes = [eye for eye in self._eyes if eye.sees(glimpse.job, user)]
        for eye in eyes:
            eye.note(glimpse.job, glimpse)
