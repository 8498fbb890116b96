"""Keeps one worker process at work: starts it, listens to its heart, ends it when it hangs, starts the next."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

import psutil

from inkwash.core.errors import InkwashError
from inkwash.jobs import deaths
from inkwash.jobs.live import Board
from inkwash.jobs.log import Log
from inkwash.jobs.office import Office
from inkwash.jobs.protocol import State
from inkwash.jobs.serving import WorkerState
from inkwash.jobs.store import Store
from inkwash.jobs.wire import Connection

PACKAGE = Path(__file__).resolve().parents[2]
LAST_STEP = 5.0
"""Seconds a draining worker may take, when its time is up, to end its step and hand back what it has."""


@dataclass(frozen=True)
class Patience:
    """Seconds.  silence: without a heartbeat, in a process that runs.  stuck: with a heart that beats, but no step done
    although there are jobs.  first, most: between a death and the next start, doubled each time.  well: of life after
    which a death is forgotten.  look: between two looks.
    """

    silence: float = 45.0
    stuck: float = 900.0
    first: float = 0.5
    most: float = 30.0
    well: float = 60.0
    look: float = 0.5


@dataclass(frozen=True, eq=False)
class Running:
    """A worker process and the office that serves it."""

    name: str
    process: subprocess.Popen[bytes]
    office: Office
    served: threading.Thread
    since: float
    kills: Mapping[Path, int]


class Supervisor:
    """command: the worker's program; it speaks the wire over its standard input and output and ends at their end."""

    def __init__(
        self, command: Sequence[str], store: Store, board: Board, log: Log, patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.command = command
        self.store = store
        self.board = board
        self.log = log
        self.patience = patience or Patience()
        self.clock = clock
        self.restarts = 0
        self._numbers = count()
        self._running: Running | None = None
        self._stopping = threading.Event()
        self._grace = 0.0
        self._thread = threading.Thread(target=self._keep_running, name="supervisor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Let the worker finish what it can within ``grace`` seconds; what is left waits again."""
        self._grace = grace
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def told(self, job: str, user: str, state: State) -> None:
        """A job changed: the worker is woken for a new one and stopped at a cancelled one."""
        if state == "queued":
            self.order("wake")
        elif state == "cancelled":
            self.order("cancel", job=job)

    def order(self, order: str, **arguments: Any) -> None:
        """Tell the worker something, if there is one."""
        running = self._running
        if running is not None:
            running.office.order(order, **arguments)

    def state(self) -> WorkerState:
        running = self._running
        if running is None:
            return WorkerState(state="stopped" if self._stopping.is_set() else "down", restarts=self.restarts)
        facts = {key: value for key, value in running.office.facts.items() if key in WorkerState.__dataclass_fields__}
        known: dict[str, Any] = {"state": "starting"} | facts
        memory = _memory(running.process.pid)
        return WorkerState(**known | {"pid": running.process.pid, "memory": memory, "restarts": self.restarts})

    def _keep_running(self) -> None:
        pause = self.patience.first
        while not self._stopping.is_set():
            running = self._running = self._started()
            if running is None:
                self._stopping.wait(self.patience.most)
                continue
            hung = self._watched(running)
            self._buried(running, hung)
            if self._stopping.is_set():
                return
            self.restarts += 1
            pause = self.patience.first if self.clock() - running.since > self.patience.well else pause
            self._stopping.wait(pause)
            pause = min(2 * pause, self.patience.most)

    def _started(self) -> Running | None:
        name = f"{os.getpid()}-{next(self._numbers)}"
        kills = deaths.oom_kills()
        try:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
                start_new_session=True,  # Ctrl-C is for the server, which then drains
            )
        except OSError as error:
            self.log.add(f"the worker cannot be started: {error}")
            return None
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        office = Office(name, Connection(process.stdout, process.stdin), self.store, self.board.glimpse, self.clock)
        served = threading.Thread(target=office.serve, name=f"office {name}", daemon=True)
        served.start()
        threading.Thread(target=self._copy, args=(process.stderr,), name=f"log {name}", daemon=True).start()
        self.log.add(f"worker {process.pid} started")
        return Running(name, process, office, served, self.clock(), kills)

    def _watched(self, running: Running) -> str | None:
        """Wait until the worker is dead.  Why it was killed here, if it was."""
        hung: str | None = None
        deadline: float | None = None  # once it drains
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(self.patience.look)
                return hung
            if self._stopping.is_set() and deadline is None:
                running.office.order("drain", grace=self._grace)
                deadline = self.clock() + self._grace + LAST_STEP
            hung = hung or self._hung(running)
            if hung is not None or (deadline is not None and self.clock() > deadline):
                running.process.kill()

    def _hung(self, running: Running) -> str | None:
        heard = running.since if running.office.heard is None else running.office.heard
        if self.clock() - heard > self.patience.silence:
            return "The worker fell silent and was ended."
        if float(running.office.facts.get("stuck", 0.0)) > self.patience.stuck:
            return f"The worker did not finish a step in {self.patience.stuck:.0f} seconds and was ended."
        return None

    def _buried(self, running: Running, hung: str | None) -> None:
        """Once its last message is answered, take back what it held."""
        running.served.join()
        self._running = None
        death = deaths.explain(running.process.returncode, running.kills, hung)
        self.log.add(f"worker {running.process.pid}: {death.why}")
        try:
            self.store.abandon(running.name, death.why, counts=death.counts)
        except InkwashError as error:  # such as a full disk; the leases run out by themselves
            self.log.add(f"its jobs cannot be taken back yet: {error}")

    def _copy(self, lines: IO[bytes]) -> None:
        """The worker's standard error into the log."""
        for line in lines:
            self.log.add(line.decode(errors="replace").rstrip())


def _memory(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def environment() -> dict[str, str]:
    """The worker imports the same Inkwash as its owner, however that was found."""
    paths = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
