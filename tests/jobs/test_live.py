"""What happens now: only the newest is kept, and nobody waits for anybody."""

from __future__ import annotations

from inkwash.jobs.live import Board
from inkwash.jobs.protocol import Glimpse


def glimpse(job: str, step: int, preview: bytes | None = None, picture: int = 0) -> Glimpse:
    return Glimpse(
        job=job, picture=picture, pictures=2, step=step, steps=9, sigma=1.0, fraction=step / 9, preview=preview
    )  # fmt: skip


def test_watchers_see_their_own() -> None:
    board, woken = Board(), list[str]()
    everything = board.watch(lambda: woken.append("all"))
    anns = board.watch(lambda: woken.append("ann"), user="ann")
    first = board.watch(lambda: woken.append("1"), job="1")
    board.changed("1", "ann", "running")
    board.changed("2", "bob", "running")
    board.glimpse(glimpse("2", 1))
    assert sorted(woken) == ["1", "all", "ann"]  # once each until they look
    assert everything.take().jobs == ("1", "2")
    assert anns.take().jobs == ("1",)
    assert first.take().jobs == ("1",)
    assert first.take().jobs == ()
    assert anns.take().glimpses == ()


def test_only_the_newest_glimpse_is_kept_but_its_preview_is_not_lost() -> None:
    board = Board()
    watch = board.watch(lambda: None)
    board.changed("1", "", "running")
    board.glimpse(glimpse("1", 1, b"picture"))
    board.glimpse(glimpse("1", 2))
    (seen,) = watch.take().glimpses
    assert (seen.step, seen.preview) == (2, b"picture")
    board.glimpse(glimpse("1", 3))
    assert watch.take().glimpses[0].preview is None  # seen already
    latest = board.latest("1")
    assert latest is not None
    assert (latest.step, latest.preview) == (3, b"picture")
    board.glimpse(glimpse("1", 1, picture=1))
    assert board.latest("1").preview is None  # type: ignore[union-attr]


def test_places_in_the_queue_change_together() -> None:
    board = Board()
    for job in "123":
        board.changed(job, "ann", "queued")
    watch = board.watch(lambda: None, job="3")
    board.changed("1", "ann", "running")
    assert watch.take().jobs == ("3",)
    board.changed("1", "ann", "done")
    assert watch.take().jobs == ()


def test_ended_jobs_have_no_glimpses_and_closed_watchers_no_news() -> None:
    board = Board()
    watch = board.watch(lambda: None)
    board.changed("1", "", "running")
    board.glimpse(glimpse("1", 1))
    board.changed("1", "", "cancelled")
    board.glimpse(glimpse("1", 2))  # it was on its way
    assert board.latest("1") is None
    assert [seen.step for seen in watch.take().glimpses] == [1]
    watch.close()
    board.changed("2", "", "running")
    assert watch.take().jobs == ()
    assert board._users == {"2": ""}  # nothing is remembered of what ended
