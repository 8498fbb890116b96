"""The service: the store, the board of what happens now, and a worker kept at work, in one object."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from types import TracebackType

import psutil

from inkwash.core.errors import InkwashError
from inkwash.jobs.database import Database
from inkwash.jobs.gallery import Gallery
from inkwash.jobs.live import Board
from inkwash.jobs.log import Log
from inkwash.jobs.protocol import Desk, Saving, State
from inkwash.jobs.serving import (
    Live,
    LogLine,
    News,
    Page,
    Picture,
    PictureNotFound,
    Pictures,
    ServiceProtocol,
    Setup,
    System,
    Watch,
    WorkerState,
)
from inkwash.jobs.shelf import Shelf
from inkwash.jobs.store import Store
from inkwash.jobs.supervisor import Patience, Supervisor

__all__ = [
    "Live", "LogLine", "News", "Page", "Picture", "PictureNotFound", "Pictures", "Service", "ServiceProtocol", "Setup",
    "System", "Watch", "WorkerState",
]  # fmt: skip


TIDY_EVERY = 600.0
"""Seconds between two looks at what may be forgotten."""


class Service:
    """Implements ``ServiceProtocol``.  Opening it takes the data folder: raises Busy, DamagedFile, CannotWrite.

    echo: called with each line of the log.
    """

    def __init__(
        self, setup: Setup, patience: Patience | None = None, echo: Callable[[str], None] | None = None
    ) -> None:
        self.setup = setup
        shelf = Shelf(setup.data_dir, setup.outputs_dir)
        self._database = Database(setup.data_dir.absolute() / "jobs.sqlite")
        self._board = Board()
        self.live: Live = self._board
        self._store = Store(
            self._database,
            shelf,
            queue=setup.queue,
            per_user=setup.per_user,
            history=setup.history,
            retention=setup.retention * 3600,
            saving=Saving(setup.pattern, setup.format, setup.quality),
            told=self._told,
            asked=lambda wish, job: self._supervisor.order(wish, job=job),
        )
        self.desk: Desk = self._store
        self.pictures: Pictures = Gallery(self._database, shelf)
        self._log = Log(echo=echo)
        self._supervisor = Supervisor(command(setup), self._store, self._board, self._log, patience)
        self._since = time.monotonic()
        self._stopped = threading.Event()
        self._tidying = threading.Thread(target=self._keep_tidy, name="tidy", daemon=True)

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Put back what an owner before this one left running, and start the worker."""
        for job in self.desk.list(states=("queued", "running"), limit=-1):
            self._board.changed(job.id, job.user, job.state)
        self._store.recover()
        self._supervisor.start()
        self._tidying.start()

    def drain(self, grace: float = 30.0) -> None:
        self._supervisor.stop(grace)

    def stop(self, grace: float = 30.0) -> None:
        self._stopped.set()
        self.drain(grace)
        if self._tidying.is_alive():
            self._tidying.join()
        self._database.close()

    def ready(self) -> bool:
        return self._supervisor.state().state in ("idle", "busy")

    def system(self) -> System:
        memory, counts, worker = psutil.virtual_memory(), self._store.counts(), self._supervisor.state()
        if worker.state in ("idle", "busy"):  # fresher than the last heartbeat
            worker = replace(worker, state="busy" if counts["running"] else "idle")
        return System(
            worker=worker,
            queued=counts["queued"],
            running=counts["running"],
            memory_total=memory.total,
            memory_free=memory.available,
            memory_process=psutil.Process().memory_info().rss,
            uptime=time.monotonic() - self._since,
        )

    def log(self, after: int = 0, limit: int = 500) -> Sequence[LogLine]:
        return self._log.after(after, limit)

    def load(self, model: str | None) -> None:
        self._supervisor.order("load", model=model)

    def unload(self) -> None:
        self._supervisor.order("unload")

    def save_as(self, saving: Saving) -> None:
        self._store.results.saving = saving

    def _keep_tidy(self) -> None:
        while not self._stopped.is_set():
            try:
                self._store.tidy()
            except InkwashError as error:  # such as a full disk
                self._log.add(f"what nobody keeps cannot be removed yet: {error}")
            self._stopped.wait(TIDY_EVERY)

    def _told(self, job: str, user: str, state: State) -> None:
        self._board.changed(job, user, state)
        self._supervisor.told(job, user, state)


def command(setup: Setup) -> list[str]:
    """The worker's program, with what it needs to know as JSON."""
    program = setup.worker or (sys.executable, "-m", "inkwash.jobs.worker")
    return [*program, json.dumps(asdict(setup), default=str)]
