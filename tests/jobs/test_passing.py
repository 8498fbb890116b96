"""What nobody keeps leaves: pictures that are not for the gallery, sources that nothing needs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests.jobs.conftest import Room, png, text_of

from inkwash.core.blobs import Blobs
from inkwash.jobs.gallery import Gallery
from inkwash.jobs.protocol import Job, JobNotFound
from inkwash.jobs.store import RETENTION

DAY = 24 * 3600


def drawn(room: Room, *, keep: bool, **changes: object) -> Job:
    job = room.submit(keep=keep, **changes)
    lease = room.claim()
    room.keep(lease)
    room.store.finish(lease)
    return room.store.get(job.id)


def shown(room: Room) -> int:
    return Gallery(room.store.database, room.store.shelf).list().total


def test_pictures_that_are_not_for_the_gallery_are_there_until_they_are_fetched(room: Room) -> None:
    job = drawn(room, keep=False)
    path = Path(job.items[0].path)
    assert path.read_bytes() == png(1, text_of("a cat", 1))
    assert (shown(room), room.files) == (0, [])
    room.store.discard(job.id)
    assert not path.exists()
    assert room.store.get(job.id).items == []
    kept = drawn(room, keep=True)
    room.store.discard(kept.id)
    assert Path(kept.items[0].path).exists()
    assert shown(room) == 1


def test_nothing_is_discarded_under_a_worker(room: Room) -> None:
    job = room.submit(keep=False)
    item = room.keep(room.claim())
    room.store.discard(job.id)
    assert Path(item.path).exists()


def test_unfetched_ones_leave_after_the_retention(room: Room) -> None:
    passing, kept = drawn(room, keep=False), drawn(room, keep=True)
    room.clock.now += RETENTION - 1
    room.store.tidy()
    assert Path(passing.items[0].path).exists()
    room.clock.now += 2
    room.store.tidy()
    assert not Path(passing.items[0].path).exists()
    with pytest.raises(JobNotFound):
        room.store.get(passing.id)
    assert Path(room.store.get(kept.id).items[0].path).exists()


def test_a_source_stays_while_a_job_or_a_picture_needs_it(make_room: Callable[..., Room]) -> None:
    room = make_room(history=1)
    blobs = Blobs.of(room.folder / "data")
    digests = [blobs.keep(Image.new("RGB", (8, 8), (level, 0, 0))) for level in range(4)]
    of_job, of_picture, _, fresh = digests
    room.submit(keep=False, request={"prompt": "x", "seed": 1, "init_image": {"sha256": of_job}})
    lease = room.claim()
    text = f"{text_of('a cat', 1)}, Init image hash: {of_picture}"
    room.store.keep(lease, "0", "image/png", png(1, text), {"infotext": text, "seed": 1})
    room.store.fail(lease, "no", "", again=False)
    drawn(room, keep=True)
    pictured = room.submit()
    lease = room.claim()
    room.store.keep(lease, "0", "image/png", png(1, text), {"infotext": text, "seed": 1})
    room.store.finish(lease)
    for digest in digests[:3]:
        os.utime(blobs.folder / f"{digest}.png", (room.clock.now, room.clock.now))
    room.clock.now += RETENTION - 1
    room.store.tidy()
    assert all(map(blobs.has, digests))
    os.utime(blobs.folder / f"{fresh}.png", (room.clock.now + DAY, room.clock.now + DAY))
    room.clock.now += 2
    room.submit(request={"prompt": "x", "seed": 1, "init_image": {"sha256": of_job}})
    room.store.tidy()
    assert [blobs.has(digest) for digest in digests] == [True, True, False, True]
    assert room.store.get(pictured.id).state == "done"


def test_use_makes_a_source_young_again(tmp_path: Path) -> None:
    blobs = Blobs.of(tmp_path)
    image = Image.new("RGB", (8, 8))
    digest = blobs.keep(image)
    path = tmp_path / "blobs" / f"{digest}.png"
    for use in (lambda: blobs.find(digest), lambda: blobs.keep(image)):
        os.utime(path, (1000, 1000))
        assert blobs.unused_since(2000) == [path]
        use()
        assert blobs.unused_since(2000) == []


def test_an_interrupt_of_a_waiting_job_cancels_it_and_of_a_lost_one_too(room: Room) -> None:
    waiting = room.submit()
    assert room.store.interrupt(waiting.id).state == "cancelled"
    asked: list[tuple[str, str]] = []
    room.store.asked = lambda *wish: asked.append(wish)
    job = room.submit()
    room.claim("w")
    room.store.skip(job.id)
    assert room.store.interrupt(job.id).interrupted
    assert asked == [("skip", job.id), ("interrupt", job.id)]
    room.store.abandon("w", "it died", counts=False)
    assert room.store.get(job.id).state == "cancelled"
    assert room.store.interrupt(job.id).state == "cancelled"
