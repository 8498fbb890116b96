"""The order that positions are told by is the order in which jobs are claimed."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.jobs.conftest import Room

from inkwash.jobs.turns import Waiting, in_order


def test_rounds_within_priorities() -> None:
    waiting = [Waiting(1, "a", 0), Waiting(2, "a", 0), Waiting(3, "b", 0), Waiting(4, "a", 5), Waiting(5, "b", 0)]
    assert in_order(waiting, {}) == [4, 3, 1, 5, 2]
    assert in_order(waiting, {"b": 9, "a": 2}) == [4, 3, 1, 5, 2]
    assert in_order([], {"a": 1}) == []


def test_told_positions_come_true(make_room: Callable[..., Room]) -> None:
    """Random queues, some of it served before."""
    luck = random.Random(5)
    for _ in range(5):
        room = make_room()
        for _ in range(6):
            room.submit(user=luck.choice("abcd"), priority=luck.randrange(2))
            if luck.random() < 0.3 and (lease := room.store.claim("w")):
                room.store.finish(lease)
        for _ in range(20):
            room.submit(user=luck.choice("abcd"), priority=luck.randrange(2))
        told = {job.position: job.id for job in room.store.list(states=("queued",))}
        claimed = []
        while (lease := room.store.claim("w")) is not None:
            claimed.append(lease.job)
        assert claimed == [told[place] for place in range(len(told))]
