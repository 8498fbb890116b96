"""Which values stay at hand, and which leave first."""

from __future__ import annotations

from inkwash.runtime.shelf import Shelf

PLENTY = 1000


def filled(shelf: Shelf[str, int], *keys: str, size: int = 10, free: int = PLENTY) -> Shelf[str, int]:
    for key in keys:
        shelf.make_room(size, free)
        shelf.put(key, len(key), size)
    return shelf


def test_the_least_recently_used_leaves_first() -> None:
    shelf = filled(Shelf(2, PLENTY), "a", "b")
    assert shelf.get("a") == 1
    filled(shelf, "c")
    assert ("b" in shelf, "c" in shelf) == (False, True)
    assert (shelf.get("a"), shelf.get("b"), shelf.get("c")) == (1, None, 1)


def test_no_more_than_the_budget() -> None:
    shelf = filled(Shelf(9, 25), "a", "b", "c")
    assert (len(shelf), shelf.get("a")) == (2, None)
    filled(shelf, "large", size=100)
    assert len(shelf) == 1  # larger than the budget: alone


def test_no_more_than_the_machine_can_give() -> None:
    shelf = filled(Shelf(9, PLENTY), "a", "b")
    shelf.make_room(10, free=10)
    assert len(shelf) == 2
    shelf.make_room(10, free=5)
    assert (len(shelf), shelf.get("a")) == (1, None)


def test_clear() -> None:
    shelf = filled(Shelf(2, PLENTY), "a")
    shelf.clear()
    assert shelf.get("a") is None
