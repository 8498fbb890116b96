"""Results of jobs: one file each, whole or not at all, whatever happens in between."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.jobs.conftest import Room, png, text_of

from inkwash.core import files, images
from inkwash.core.errors import InkwashError
from inkwash.jobs.gallery import Gallery
from inkwash.jobs.protocol import StaleLease

CALLS = ("fsync", "replace", "link", "chmod", "close")


def test_another_attempt_replaces_its_own_file(make_room: Callable[..., Room]) -> None:
    room = make_room()
    room.submit()
    first = room.keep(room.claim())
    room = make_room(clock=room.clock)
    room.store.recover()
    second = room.keep(room.claim())
    assert first == second
    assert room.files == [Path(first.path)]
    assert images.read_metadata(first.path).infotext == text_of("a cat", 1)


@pytest.mark.parametrize("written", [False, True])
def test_a_promise_that_was_cut_short_is_kept_by_the_next_attempt(room: Room, written: bool) -> None:
    """The owner died after promising a path, before or after the bytes got there."""
    room.submit()
    lease = room.claim()
    text = text_of("a cat", 1)
    with room.store.database.writing() as db:
        path = room.store.results._promise(db, lease, "0", "image/png", {"seed": 1, "infotext": text})
    if written:
        files.write(path, png(1, text))
    assert room.store.get(lease.job).items == []
    assert room.keep(lease).path == str(path)
    assert room.files == [path]


def test_a_strangers_file_under_the_promised_name_is_left_alone(room: Room) -> None:
    room.submit()
    lease = room.claim()
    with room.store.database.writing() as db:
        path = room.store.results._promise(db, lease, "0", "image/png", {"seed": 1, "infotext": text_of("a cat", 1)})
    files.write(path, png(9, "somebody else's"))
    item = room.keep(lease)
    assert item.path != str(path)
    assert images.read_metadata(path).infotext == "somebody else's"
    assert len(room.files) == 2


def test_names_follow_the_pattern_and_days(room: Room) -> None:
    room.submit()
    lease = room.claim()
    paths = [Path(room.keep(lease, str(index), seed=7 + index).path) for index in range(3)]
    assert [path.name for path in paths] == ["00000-7.png", "00001-8.png", "00002-9.png"]
    assert paths[0].parent.parent == room.folder / "outputs" / "txt2img-images"


def test_thumbnails_are_small(room: Room) -> None:
    job = room.submit()
    lease = room.claim()
    room.store.keep(lease, "0", "image/png", images.encode(Image.new("RGB", (1000, 500))), {"seed": 1, "infotext": ""})
    picture = Gallery(room.store.database, room.store.shelf).get(f"{job.id}-0")
    assert (picture.width, picture.height) == (1000, 500)
    with Image.open(picture.thumbnail) as small:
        assert small.size == (384, 192)


def test_a_lease_lost_while_writing_shows_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    job = room.submit()
    lease = room.claim()
    write = files.write_new

    def cancelled_meanwhile(path: Path, data: bytes) -> bool:
        room.store.cancel(job.id)
        return write(path, data)

    monkeypatch.setattr(files, "write_new", cancelled_meanwhile)
    with pytest.raises(StaleLease):
        room.keep(lease)
    assert room.store.get(job.id).items == []
    assert Gallery(room.store.database, room.store.shelf).list().total == 0


class Failing:
    """The os module, one of whose calls fails."""

    def __init__(self, number: int, code: int) -> None:
        self.left = number
        self.code = code

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                if name == "close":
                    real(*arguments)
                raise OSError(self.code, os.strerror(self.code))
            return real(*arguments, **named)

        return call


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_no_failing_write_leaves_a_partial_file(room: Room, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Every call of a keep fails once: an error in words, and afterwards the picture can still be kept, once."""
    for number in range(1, 50):
        job = room.submit()
        lease = room.claim()
        failing = Failing(number, code)
        monkeypatch.setattr(files, "os", failing)
        try:
            room.keep(lease)
        except InkwashError as error:
            assert "cannot be written" in error.message
            assert error.remedy
        monkeypatch.setattr(files, "os", os)
        for path in room.files:
            with Image.open(path) as image:
                image.load()
        room.keep(lease)
        assert len(room.store.get(job.id).items) == 1
        assert len(room.files) == number
        if failing.left > 0:
            assert number > 8
            return
    raise AssertionError("the writing never ended")


def test_a_full_disk_under_the_database_is_told_and_loses_nothing(room: Room) -> None:
    kept = [room.submit(prompt="x" * 1000) for _ in range(5)]
    with room.store.database.writing() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
    room.store.database._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(files.CannotWrite, match="full") as full:
        for _ in range(100):
            kept.append(room.submit(prompt="y" * 1000))
    assert "space" in full.value.remedy
    assert {job.id for job in room.store.list()} == {job.id for job in kept}
    room.store.database._writer.execute("PRAGMA max_page_count = 100000")
    assert room.submit().state == "queued"
    assert room.store.database._writer.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_commits_are_synced(room: Room) -> None:
    for connection in (room.store.database._writer, room.store.database._reader):
        assert isinstance(connection, sqlite3.Connection)
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
