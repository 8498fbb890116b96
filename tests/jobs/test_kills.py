"""kill -9 of the worker or of the whole service at random points: nothing lost, nothing twice, no wrong pixel."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image
from tests.support.fake_worker import picture_of
from tests.support.owner import request_of, setup_of

from inkwash.jobs.database import Database
from inkwash.jobs.gallery import Gallery
from inkwash.jobs.shelf import Shelf
from inkwash.jobs.store import Store
from inkwash.jobs.supervisor import environment

ROOT = Path(__file__).resolve().parents[2]


class Owner:
    """The process under attack."""

    def __init__(self, folder: Path, jobs: int) -> None:
        command = [sys.executable, "-m", "tests.support.owner", str(folder), str(jobs)]
        paths = f"{environment()['PYTHONPATH']}{os.pathsep}{ROOT}"
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, env=environment() | {"PYTHONPATH": paths}, cwd=ROOT
        )
        self.worker: int | None = None
        self.started = threading.Event()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.worker = int(line)
            self.started.set()
        self.started.set()

    def kill(self, whole: bool) -> None:
        if whole:
            self.process.kill()
            self.close()
        elif self.worker is not None:
            self.started.clear()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.worker, signal.SIGKILL)

    def close(self) -> int:
        status = self.process.wait(120)
        self.reader.join(10)
        return status


def attack(folder: Path, jobs: int, kills: int, seed: int) -> None:
    """Kill so many times, then let the rest be drawn."""
    luck = random.Random(seed)
    owner = Owner(folder, jobs)
    for _ in range(kills):
        assert owner.started.wait(60)
        try:  # a random point in time is what is wanted here; the process is left alone when it has ended
            owner.process.wait(luck.uniform(0.0, 0.25))
            owner.close()
        except subprocess.TimeoutExpired:
            owner.kill(whole=luck.random() < 0.5)
        if owner.process.poll() is not None:
            owner = Owner(folder, jobs)
    assert owner.close() == 0


def check(folder: Path, jobs: int) -> None:
    setup = setup_of(folder)
    database = Database(setup.data_dir / "jobs.sqlite")
    shelf = Shelf(setup.data_dir, setup.outputs_dir)
    done = Store(database, shelf).list(limit=-1)
    assert len(done) == jobs
    wanted: dict[Path, bytes] = {}
    for job in done:
        assert job.state == "done", job.error
        request = request_of(int(job.request["prompt"].split()[1]))
        assert [item.name for item in job.items] == [str(index) for index in range(request["batch_size"])]
        wanted |= {Path(item.path): picture_of(request, index).tobytes() for index, item in enumerate(job.items)}
    shown = Gallery(database, shelf).list(limit=10_000)
    assert {picture.path for picture in shown.pictures} == set(wanted)
    found = [path for path in setup.outputs_dir.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert set(found) == set(wanted)
    with database.reading() as db:
        assert db.execute("SELECT sum(interruptions) FROM jobs").fetchone()[0] > 3  # the kills did hit
    for path, pixels in wanted.items():
        with Image.open(path) as image:
            assert image.tobytes() == pixels
    database.close()


def test_twenty_kills(tmp_path: Path) -> None:
    attack(tmp_path, jobs=60, kills=20, seed=1)
    check(tmp_path, jobs=60)


@pytest.mark.slow
def test_a_hundred_kills(tmp_path: Path) -> None:
    attack(tmp_path, jobs=200, kills=100, seed=2)
    check(tmp_path, jobs=200)
