"""Hostile pickled checkpoints: each is refused in words, and nothing runs."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from tests.support.pickles import hostile, legacy, root, zipped

from inkwash.checkpoint import DamagedFile, detect, read
from inkwash.checkpoint.pickles.rewrite import rewrite
from inkwash.checkpoint.pickles.values import Refused

HOSTILE = hostile("true")
NAMES = sorted(HOSTILE)
BY_THE_WHOLE_ROAD = [
    *NAMES[::12],
    *(f"{kind}: {name}" for kind in ("raw", "zip", "old") for name in ("os.system", "INST")),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INKWASH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("name", NAMES)
def test_refused_in_words(name: str) -> None:
    with pytest.raises(Refused) as caught:
        rewrite(memoryview(HOSTILE[name]), BytesIO())
    assert 10 < len(caught.value.reason) < 300
    assert caught.value.reason.isprintable()


@pytest.mark.parametrize("name", BY_THE_WHOLE_ROAD)
def test_refused_by_the_whole_road(name: str, tmp_path: Path, cache: Path) -> None:
    """In the process of its own, as people meet it."""
    marker = tmp_path / "ran"
    path = tmp_path / "model.ckpt"
    path.write_bytes(hostile(f"touch {marker}")[name])
    with pytest.raises(DamagedFile) as caught:
        read(path)
    assert str(path) in caught.value.message
    assert "was refused: " in caught.value.message
    assert caught.value.remedy
    assert len(str(caught.value)) < 600
    assert "Traceback" not in str(caught.value)
    assert not marker.exists()
    assert not list(cache.glob("converted*/*"))


HOOKED = """
import gc, sys
from pathlib import Path
from io import BytesIO
from inkwash.checkpoint.pickles.child import preload
from inkwash.checkpoint.pickles.rewrite import rewrite
from inkwash.checkpoint.pickles.values import Refused
files = [(path, path.read_bytes()) for path in sorted(Path(sys.argv[1]).iterdir())]
preload()
events, answers = [], []
watching = False
def hook(event, arguments):
    if watching:
        events.append(event)
sys.addaudithook(hook)
for path, data in files:
    watching = True
    try:
        rewrite(memoryview(data), BytesIO())
        answers.append(path.name)
    except Refused:
        pass
    watching = False
print(sorted(set(events)), answers)
"""


def test_no_audited_event_at_all(tmp_path: Path) -> None:
    """Python audits opening, importing, compiling, executing, connecting and starting; reading causes none of it."""
    for index, data in enumerate(HOSTILE.values()):
        (tmp_path / f"{index:03}").write_bytes(data)
    (tmp_path / "sound").write_bytes(zipped(root()))
    (tmp_path / "sound, old").write_bytes(legacy())
    run = subprocess.run([sys.executable, "-c", HOOKED, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[] ['sound', 'sound, old']"


def test_the_sound_files_of_these_tests_are_read(tmp_path: Path) -> None:
    """What the hostile ones differ from."""
    for name, data in {"new": zipped(root()), "old": legacy()}.items():
        path = tmp_path / f"{name}.ckpt"
        path.write_bytes(data)
        assert read(path)["a"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin"])
@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\x80\x02", b"PK\x03\x04", b"<!DOCTYPE html><html>", b"version https://git-lfs.github.com/spec/v1\n"],
    ids=["empty", "nul", "start of a pickle", "start of a zip", "web page", "Git LFS pointer"],
)
def test_what_is_no_checkpoint_at_all(suffix: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(data)
    with pytest.raises(DamagedFile) as caught:
        detect(path)
    assert str(path) in caught.value.message
    assert caught.value.remedy


def test_truncated_at_every_percent() -> None:
    for whole in (zipped(root()), legacy()):
        for percent in range(100):
            with pytest.raises(Refused):
                rewrite(memoryview(whole[: len(whole) * percent // 100]), BytesIO())


@pytest.mark.skipif(os.name == "nt", reason="POSIX file types")
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.ckpt")
    (tmp_path / "folder.ckpt").mkdir()
    with pytest.raises(DamagedFile, match="pipe"):
        read(tmp_path / "fifo.ckpt")


def test_a_pickle_under_another_name_is_not_read(tmp_path: Path) -> None:
    for index, data in enumerate((zipped(root()), legacy())):
        path = tmp_path / f"{index}.safetensors"
        path.write_bytes(data)
        with pytest.raises(DamagedFile, match="Do not trust its source"):
            read(path)
