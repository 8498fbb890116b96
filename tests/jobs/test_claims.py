"""Many workers, one queue: every job is claimed once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable

from tests.jobs.conftest import Room

from inkwash.jobs.office import Office
from inkwash.jobs.supervisor import environment
from inkwash.jobs.wire import Connection

JOBS, WORKERS = 1000, 8

CLAIMER = """
import os, sys, threading
from inkwash.jobs.bench import RemoteBench
from inkwash.jobs.supervisor import environment
from inkwash.jobs.wire import Connection
bench = RemoteBench(Connection(sys.stdin.buffer, sys.stdout.buffer))
threading.Thread(target=bench.listen, args=(lambda order: None,), daemon=True).start()
while (lease := bench.claim("")) is not None:
    print(lease.job, file=sys.stderr)
    bench.finish(lease)
sys.stderr.flush()
os._exit(0)
"""


def filled(make_room: Callable[..., Room]) -> Room:
    """A queue of 1,000 jobs; what is tested is claiming, so the disk is not waited for."""
    room = make_room(queue=JOBS)
    room.store.database._writer.execute("PRAGMA synchronous = OFF")
    for number in range(JOBS):
        room.submit(user=str(number % 7))
    return room


def test_threads_never_claim_twice(make_room: Callable[..., Room]) -> None:
    room, claimed = filled(make_room), list[str]()

    def work(name: str) -> None:
        while (lease := room.store.claim(name)) is not None:
            claimed.append(lease.job)
            room.store.finish(lease)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == JOBS
    assert set(Counter(claimed).values()) == {1}


def test_processes_never_claim_twice(make_room: Callable[..., Room]) -> None:
    room = filled(make_room)
    workers = []
    for number in range(WORKERS):
        process = subprocess.Popen(
            [sys.executable, "-c", CLAIMER], env=environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        office = Office(str(number), Connection(process.stdout, process.stdin), room.store, lambda glimpse: None)
        threading.Thread(target=office.serve, daemon=True).start()
        workers.append(process)
    claimed = [line for process in workers for line in _lines(process)]
    assert len(claimed) == JOBS
    assert set(Counter(claimed).values()) == {1}
    assert {job.state for job in room.store.list(limit=JOBS)} == {"done"}


def _lines(process: subprocess.Popen[bytes]) -> list[str]:
    with process:
        assert process.stderr is not None
        return process.stderr.read().decode().split()
