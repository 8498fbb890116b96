"""A store with a clock of its own, and leases to work with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inkwash.core import images, infotext
from inkwash.core.request import GenerateRequest
from inkwash.jobs.database import Database
from inkwash.jobs.protocol import Item, Job, Lease, NewJob
from inkwash.jobs.shelf import Shelf
from inkwash.jobs.store import Store


@dataclass
class Clock:
    """Time that passes when told to."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Room:
    """A store, and what it told."""

    folder: Path
    clock: Clock
    store: Store
    told: list[tuple[str, str, str]] = field(default_factory=list)

    def submit(self, user: str = "", prompt: str = "a cat", **changes: Any) -> Job:
        new: dict[str, Any] = {"kind": "generate", "user": user, "request": {"prompt": prompt, "seed": 1}} | changes
        return self.store.submit(NewJob(**new))

    def claim(self, worker: str = "w", model: str | None = None) -> Lease:
        lease = self.store.claim(worker, model=model)
        assert lease is not None
        return lease

    def keep(self, lease: Lease, name: str = "0", seed: int = 1, prompt: str = "a cat") -> Item:
        text = text_of(prompt, seed)
        return self.store.keep(lease, name, "image/png", png(seed, text), {"seed": seed, "infotext": text})

    @property
    def files(self) -> list[Path]:
        """Every file among the pictures, hidden ones too."""
        return sorted(path for path in (self.folder / "outputs").rglob("*") if path.is_file())


def text_of(prompt: str, seed: int) -> str:
    return infotext.write(GenerateRequest(prompt=prompt, width=8, height=8), seed=seed, model_name="fake")


def png(seed: int, text: str = "") -> bytes:
    return images.encode(Image.new("RGB", (8, 8), (seed % 256, 0, 0)), text)


@pytest.fixture
def make_room(tmp_path: Path) -> Iterator[Callable[..., Room]]:
    """Opens the store in the test's folder; a second time as another process would after the first died."""
    opened: list[Database] = []

    def make(**options: Any) -> Room:
        for database in opened:
            database.close()
        opened[:] = [Database(tmp_path / "data" / "jobs.sqlite")]
        clock: Clock = options.pop("clock", Clock())
        shelf = Shelf(tmp_path / "data", tmp_path / "outputs")
        room = Room(tmp_path, clock, Store(opened[0], shelf, clock=clock, **options))
        room.store.told = lambda *news: room.told.append(news)
        return room

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def room(make_room: Callable[..., Room]) -> Room:
    return make_room()
