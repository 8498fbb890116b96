"""The whole service with a worker process that has no torch: what it promises when things go wrong."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.owner import IMPATIENT, setup_of

from inkwash.jobs.database import Busy
from inkwash.jobs.protocol import Job, NewJob
from inkwash.jobs.service import Service, ServiceProtocol
from inkwash.jobs.supervisor import Patience


class Front:
    """A client of a running service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.news = threading.Event()
        self.watch = service.live.watch(self.news.set)

    def submit(self, prompt: str = "a cat", kind: Any = "generate", **request: Any) -> Job:
        request = {"prompt": prompt, "seed": 1, "steps": 4} | request
        return self.service.desk.submit(NewJob(kind=kind, request=request))

    def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Look whenever there is news."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.service.log()
            self.news.wait(0.05)
            self.news.clear()
            self.watch.take()

    def ended(self, *jobs: Job, seconds: float = 30.0) -> list[Job]:
        def over() -> bool:
            return all(self.service.desk.get(job.id).state not in ("queued", "running") for job in jobs)

        self.until(over, seconds)
        return [self.service.desk.get(job.id) for job in jobs]

    def running(self, job: Job) -> None:
        self.until(lambda: self.service.live.latest(job.id) is not None)


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    with Service(setup_of(tmp_path), IMPATIENT) as service:
        yield Front(service)


def test_it_is_what_fronts_are_promised(front: Front) -> None:
    service: ServiceProtocol = front.service
    front.until(service.ready)
    system = service.system()
    assert (system.worker.state, system.worker.model, system.queued) == ("idle", "fake", 0)
    assert system.worker.pid != os.getpid()
    assert min(system.worker.memory, system.memory_process, system.memory_total, system.memory_free) > 0
    assert any("started" in line.text for line in service.log())
    assert list(service.log(after=service.log()[-1].number)) == []


def test_jobs_are_drawn_watched_and_hung_up(front: Front) -> None:
    job = front.submit(batch_count=2)
    mine = front.service.live.watch(lambda: None, job=job.id)
    (done,) = front.ended(job)
    assert done.state == "done"
    assert job.id in mine.take().jobs
    assert [picture.job for picture in front.service.pictures.list().pictures] == [job.id] * 2
    (explained,) = front.ended(front.submit(kind="explain"))
    assert [item.name for item in explained.items] == ["trace"]
    assert front.service.pictures.list().total == 2


def test_cancelling_a_running_job_leaves_its_neighbour(front: Front) -> None:
    endless, other = front.submit("slow", steps=10_000), front.submit("slow", steps=20)
    front.running(endless)
    front.service.desk.cancel(endless.id)
    (done,) = front.ended(other)
    assert done.state == "done"
    front.until(lambda: front.service.system().running == 0)


def test_a_job_that_kills_its_worker_is_set_aside_and_its_neighbours_are_drawn(front: Front) -> None:
    neighbours = [front.submit("slow", steps=8) for _ in range(2)]
    killer = front.submit("crash")
    after = front.submit()
    ended = front.ended(killer, *neighbours, after)
    assert [job.state for job in ended] == ["failed", "done", "done", "done"]
    assert ended[0].attempts == 3
    assert "SIGABRT" in str(ended[0].error)
    assert front.service.system().worker.restarts == 3


def test_a_hung_worker_is_replaced(front: Front) -> None:
    good = front.submit("slow", steps=3)
    front.ended(good)
    hanging = front.submit("hang")
    (failed,) = front.ended(hanging)
    assert failed.state == "failed"
    assert "did not finish a step" in str(failed.error)
    assert front.ended(front.submit())[0].state == "done"


def test_a_silent_worker_is_replaced(tmp_path: Path) -> None:
    """Stopped, as a machine that swaps would: no heartbeat."""
    patience = dataclasses.replace(IMPATIENT, silence=3.0, stuck=60.0)
    with Service(setup_of(tmp_path), patience) as service:
        front = Front(service)
        job = front.submit("slow", steps=20)
        front.running(job)
        pid = service.system().worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        (done,) = front.ended(job)
        assert (done.state, done.attempts) == ("done", 2)
        assert any("silent" in line.text for line in service.log())


def test_a_kill_from_outside_is_not_the_jobs_fault(front: Front) -> None:
    job = front.submit("slow", steps=10)
    for _ in range(4):
        front.running(job)
        pid = front.service.system().worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        front.until(lambda: front.service.live.latest(job.id) is None)
    (done,) = front.ended(job)
    assert (done.state, done.attempts) == ("done", 1)


@pytest.mark.parametrize("grace", [30.0, 0.0])
def test_stopping_finishes_or_hands_back(tmp_path: Path, grace: float) -> None:
    with Service(setup_of(tmp_path), IMPATIENT) as service:
        front = Front(service)
        short, long = front.submit("slow", steps=4), front.submit("slow", steps=10 if grace else 10_000)
        front.running(long)
        worker = psutil.Process(service.system().worker.pid)
        service.stop(grace)
        assert not worker.is_running()
    with Service(setup_of(tmp_path), IMPATIENT) as service:
        if grace:
            assert {service.desk.get(job.id).state for job in (short, long)} == {"done"}
        else:
            service.desk.cancel(long.id)
            assert Front(service).ended(short)[0].state == "done"


def test_a_sigterm_to_the_worker_drains_it(front: Front) -> None:
    job = front.submit("slow", steps=6)
    front.running(job)
    pid = front.service.system().worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    (done,) = front.ended(job)
    assert (done.state, done.attempts) == ("done", 1)
    assert front.ended(front.submit())[0].state == "done"  # by the next worker


def test_one_service_a_folder(front: Front) -> None:
    with pytest.raises(Busy):
        Service(front.service.setup)


def test_a_worker_that_cannot_start_is_told_and_tried_again(tmp_path: Path) -> None:
    patience = Patience(first=0.01, most=0.02, look=0.01)
    with Service(setup_of(tmp_path, (sys.executable, "-c", "raise SystemExit('no torch')")), patience) as service:
        front = Front(service)
        front.until(lambda: service.system().worker.restarts >= 2)
        assert any("no torch" in line.text for line in service.log())
        assert not service.ready()
    with Service(setup_of(tmp_path, ("/no/such/program",)), patience) as service:
        Front(service).until(lambda: any("cannot be started" in line.text for line in service.log()))


@pytest.mark.slow
def test_five_thousand_jobs_leave_memory_flat(tmp_path: Path) -> None:
    """Owner and worker together, the same two processes all the time, grow by less than 2 % from the 1,000th job, when
    SQLite's two page caches of 2 MB are full, to the 5,000th."""
    patience = dataclasses.replace(IMPATIENT, silence=120.0, stuck=120.0)
    with Service(setup_of(tmp_path), patience) as service:
        front, found = Front(service), list[int]()
        for _ in range(10):
            for start in range(0, 500, 100):
                jobs = [front.submit(f"job {start + number}", steps=2) for number in range(100)]
                front.ended(*jobs, seconds=600)
            system = service.system()
            found.append(system.memory_process + system.worker.memory)
        print("MB after every 500 jobs:", [round(size / 1e6, 1) for size in found])
        assert system.worker.restarts == 0
        assert found[-1] < 1.02 * found[1]
