"""A job from the hand-in to the end while the disk fails at the n-th write, for every n: told, nothing lost, nothing
half written; once the disk works again the job ends as if nothing had been.

The failing is done below Python and SQLite, by a library put before the system's.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "support" / "failing_disk.c"

SCRIPT = """
import ctypes, shutil, sys
from pathlib import Path
from PIL import Image
from inkwash.core.errors import InkwashError
from inkwash.jobs.database import Database
from inkwash.jobs.gallery import Gallery
from inkwash.jobs.protocol import NewJob
from inkwash.jobs.shelf import Shelf
from inkwash.jobs.store import Store
from tests.jobs.conftest import png, text_of

disk, folder, code, stays = ctypes.CDLL(None), Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
text = text_of("a cat", 1)
new = NewJob(kind="generate", request={"prompt": "a cat", "seed": 1}, key="once")

def whole():
    for path in (folder / "outputs").rglob("*.png"):
        if not path.name.startswith("."):
            with Image.open(path) as image:
                image.load()

def tried(call):
    '''A failure is told in words and leaves nothing half written; then the disk works again.'''
    try:
        return call()
    except InkwashError as error:
        assert disk.disk_failed(), error
        assert "cannot be" in error.message and error.remedy, error
        whole()
        disk.disk_fails(-1, 0, 0)
        return call()

def life(number):
    '''Whether the disk failed at all.'''
    disk.disk_fails(number, code, stays)
    database = tried(lambda: Database(folder / "data" / "jobs.sqlite"))
    shelf = Shelf(folder / "data", folder / "outputs")
    store = Store(database, shelf)
    job = tried(lambda: store.submit(new))
    lease = tried(lambda: store.claim("w"))
    assert lease is not None and lease.job == job.id
    tried(lambda: store.keep(lease, "0", "image/png", png(1, text), {"seed": 1, "infotext": text}))
    tried(lambda: store.finish(lease))
    failed = disk.disk_failed()
    disk.disk_fails(-1, 0, 0)
    database.close()
    again = Database(folder / "data" / "jobs.sqlite")
    [kept] = Store(again, shelf).list()
    assert (kept.id, kept.state, kept.attempts, len(kept.items)) == (job.id, "done", 1, 1), kept
    assert Gallery(again, shelf).list().total == 1
    [file] = [path for path in (folder / "outputs").rglob("*") if path.is_file()]
    assert str(file) == kept.items[0].path
    whole()
    again.close()
    shutil.rmtree(folder)
    return failed > 0

number, stride = 0, int(sys.argv[4])
while life(number):
    number += stride
print(number)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    path = tmp_path_factory.mktemp("disk") / "failing_disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", path, SOURCE, "-ldl"], check=True)
    return path


@pytest.mark.parametrize(
    ("code", "stays", "stride"),
    [
        pytest.param(errno.EIO, False, 6, id="broken, every sixth place"),
        pytest.param(errno.ENOSPC, True, 1, id="full until mended", marks=pytest.mark.slow),
        pytest.param(errno.ENOSPC, False, 1, id="full once", marks=pytest.mark.slow),
        pytest.param(errno.EIO, True, 1, id="broken until mended", marks=pytest.mark.slow),
        pytest.param(errno.EIO, False, 1, id="broken once", marks=pytest.mark.slow),
    ],
)
def test_no_write_that_fails_loses_a_job(code: int, stays: bool, stride: int, library: Path, tmp_path: Path) -> None:
    environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    arguments = [sys.executable, "-c", SCRIPT, str(tmp_path / "room"), str(code), str(int(stays)), str(stride)]
    run = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    print(run.stdout.strip(), "places to fail")
    assert int(run.stdout) > 60
