"""Which models an engine keeps in memory, and that those it lets go of are gone."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path

import psutil
import pytest
from tests.support.checkpoints import sd1_spec, sd2_spec, sdxl_spec, write_ldm

from inkwash.checkpoint.catalog import BOX
from inkwash.core.progress import Event, Loading
from inkwash.core.request import GenerateRequest
from inkwash.core.settings import Memory
from inkwash.generation.engine import Engine

SPECS = {"one": sd1_spec((32, 64), depths=(1, 0)), "two": sd2_spec((64, 64, 64, 64)), "xl": sdxl_spec((64, 64), (0, 1))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    for name, spec in SPECS.items():
        write_ldm(folder / f"{name}.safetensors", spec)
    return folder


def loads(engine: Engine, *names: str) -> list[str]:
    """The names that had to be loaded."""
    events: list[Event] = []
    for name in names:
        engine.model(name, progress=events.append)
    return [event.name for event in events if isinstance(event, Loading)]


def test_two_models_are_kept_and_the_one_used_longest_ago_leaves(folder: Path) -> None:
    engine = Engine(folder, "cpu", "float32", Memory(models=2))
    assert loads(engine, "one", "two", "one", "two") == ["one", "two"]
    assert loads(engine, "one", "xl", "one", "two") == ["xl", "two"]


def test_a_small_budget_keeps_one(folder: Path) -> None:
    engine = Engine(folder, "cpu", "float32", Memory(models=2, gigabytes=0.001))
    assert loads(engine, "one", "two", "one") == ["one", "two", "one"]
    assert loads(engine, "one") == []


def test_ten_switches_leave_nothing_behind(folder: Path) -> None:
    """Without the garbage collector's help: what is let go of is freed at once, and no file stays mapped."""
    engine = Engine(folder, "cpu", "float32", Memory(models=2))
    seen = [weakref.ref(engine.model(list(SPECS)[i % 3]).unet) for i in range(10)]
    alive = {id(unet) for unet in (reference() for reference in seen) if unet is not None}
    assert len(alive) == 2
    if psutil.LINUX:
        mapped = {entry.path for entry in psutil.Process().memory_maps()}
        assert not [path for path in mapped if path.startswith(str(folder))]
    engine.close()
    assert [reference() for reference in seen] == [None] * 10


def test_ten_switches_and_drawings_leave_memory_as_it_was(tmp_path: Path) -> None:
    """Of models of 150 MB, one at a time; 2 % is what malloc may keep or give back."""
    for name in ("one", "two"):
        shutil.copy(BOX / "inkwash-box.safetensors", tmp_path / f"{name}.safetensors")
    engine, seen = Engine(tmp_path, "cpu", "float32", Memory(models=1)), []
    for turn in range(12):
        request = GenerateRequest(prompt="a cat", seed=1, steps=1, width=64, height=64, model=("one", "two")[turn % 2])
        engine.generate(request)
        seen.append(psutil.Process().memory_info().rss)
    assert seen[-1] < 1.02 * seen[1]
