"""Jobs that write models, beside the drawing: their threads, their progress, and how they end early."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest
import torch

from inkwash.checkpoint import Catalog, write
from inkwash.core.errors import Cancelled, InvalidRequest
from inkwash.core.files import CannotWrite
from inkwash.jobs.making import Maker, Makings, Stopped
from inkwash.jobs.protocol import Glimpse, Item, Lease

WAIT = 20.0


def lease(**request: object) -> Lease:
    asked = {"task": "convert", "sources": ["a"], "name": "made"} | request
    return Lease(job="j", token=1, kind="model", request=asked, attempt=1, expires=0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "a.safetensors", {f"w{number}": torch.ones(4) for number in range(9)})
    return tmp_path


class Bench:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def keep(self, lease: Lease, name: str, media: str, data: bytes, facts: object) -> Item:
        self.kept.append(name)
        return Item(name=name, media=media, path="")


def test_a_maker_tells_keeps_and_never_overwrites(root: Path) -> None:
    bench, seen, clock = Bench(), list[Glimpse](), iter(range(100))
    make = Maker(Catalog([root], confined=True), bench, seen.append, lambda: next(clock))  # type: ignore[arg-type]
    assert make(lease(), lambda: False) == ()
    assert (root / "made.safetensors").is_file()
    assert bench.kept == ["model"]
    assert [glimpse.step for glimpse in seen] == [0, *range(10)]
    assert {glimpse.stage for glimpse in seen} == {"writing"}
    assert (seen[-1].fraction, seen[-1].seconds_left) == (1.0, 0.0)
    with pytest.raises(InvalidRequest, match="exists already"):
        make(lease(), lambda: False)


def test_a_name_that_is_taken_meanwhile_is_left_alone(root: Path) -> None:
    asked = count()

    def take() -> bool:
        if next(asked) == 3:
            (root / "made.safetensors").write_bytes(b"somebody's")
        return False

    make = Maker(Catalog([root]), Bench(), lambda glimpse: None)  # type: ignore[arg-type]
    with pytest.raises(CannotWrite, match="there already"):
        make(lease(), take)
    assert (root / "made.safetensors").read_bytes() == b"somebody's"
    assert not list(root.glob(".*"))


def test_a_stopped_maker_leaves_nothing(root: Path) -> None:
    asked = iter([False] * 4 + [True] * 99)
    with pytest.raises(Cancelled):
        Maker(Catalog([root]), Bench(), lambda glimpse: None)(lease(), lambda: next(asked))  # type: ignore[arg-type]
    assert [path.name for path in root.iterdir()] == ["a.safetensors"]


def test_makings_run_beside_the_caller_and_end_one_by_one() -> None:
    go = {name: threading.Event() for name in ("one", "two")}

    def make(lease: Lease, stopped: Stopped) -> Sequence[str]:
        go[lease.request["name"]].wait(WAIT)
        if lease.request["name"] == "two":
            raise ValueError("a defect")
        return ["well"]

    makings = Makings(make)
    one, two = (makings.begin(lease(name=name), lambda: False) for name in go)
    assert makings.ended(0.0) == []
    assert len(makings) == 2
    go["one"].set()
    [ended] = makings.ended(WAIT)
    assert (ended.ticket, ended.value, ended.error) == (one, ["well"], None)
    go["two"].set()
    [ended] = makings.ended(WAIT)
    assert ended.ticket == two
    assert isinstance(ended.error, ValueError)
    assert len(makings) == 0
    assert makings.ended(WAIT) == [], "with nothing under way nobody waits"


def test_a_cancelled_making_is_over_when_cancel_returns() -> None:
    begun, cleaned = threading.Event(), threading.Event()

    def make(lease: Lease, stopped: Stopped) -> Sequence[str]:
        begun.set()
        while not stopped():
            pass
        cleaned.set()
        raise Cancelled()

    makings = Makings(make)
    ticket = makings.begin(lease(), lambda: False)
    assert begun.wait(WAIT)
    makings.cancel(ticket)
    assert cleaned.is_set()
    assert len(makings) == 0
    makings.cancel(ticket)
