"""Whose turn it is: by priority, then fair turns between users, then age."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """A queued job.  seq: grows with age's end; smaller is older."""

    seq: int
    user: str
    priority: int


def in_order(waiting: Iterable[Waiting], turns: Mapping[str, int]) -> list[int]:
    """The seqs in the order in which the jobs will be claimed if none is added.

    turns: when each user was served last; who never was comes first.  Being served puts a user last.
    """
    lines: dict[int, dict[str, deque[int]]] = {}
    for job in sorted(waiting, key=lambda job: job.seq):
        lines.setdefault(job.priority, {}).setdefault(job.user, deque()).append(job.seq)
    served = dict(turns)
    clock = max(served.values(), default=0)
    order = []
    for priority in sorted(lines, reverse=True):
        users = lines[priority]
        heads = [(served.get(user, 0), line[0], user) for user, line in users.items()]
        heapq.heapify(heads)
        while heads:
            _, seq, user = heapq.heappop(heads)
            order.append(seq)
            users[user].popleft()
            clock += 1
            served[user] = clock
            if users[user]:
                heapq.heappush(heads, (clock, users[user][0], user))
    return order
