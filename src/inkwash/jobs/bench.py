"""A worker's end of the wire: the owner's ``Bench``, as if it were here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from queue import SimpleQueue
from typing import Any

from inkwash.jobs import phrases
from inkwash.jobs.protocol import Glimpse, Item, Lease
from inkwash.jobs.wire import Connection, Gone, Message

Orders = Callable[[Mapping[str, Any]], None]
"""Called with each order of the owner, in the thread that listens; must return at once."""


class RemoteBench:
    """Implements ``Bench`` over a connection; from any thread.  Every call raises Gone when the owner is."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._numbers = count()
        self._answers: dict[int, SimpleQueue[Message | None]] = {}
        self._lock = threading.Lock()
        self._gone = False

    def listen(self, orders: Orders) -> None:
        """Hand out answers and orders until the owner is gone."""
        while (message := self.connection.receive()) is not None:
            if "answer" in message.head:
                with self._lock:
                    waiting = self._answers.pop(message.head["answer"])
                waiting.put(message)
            else:
                orders(message.head)
        with self._lock:
            self._gone = True
            for waiting in self._answers.values():
                waiting.put(None)

    def claim(self, worker: str, *, model: str | None = None) -> Lease | None:
        answer = self._call("claim", worker=worker, model=model)
        return None if answer["lease"] is None else phrases.lease(answer["lease"])

    def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        answer = self._call("renew", leases=[phrases.of_lease(lease) for lease in leases])
        return [phrases.lease(lease) for lease in answer["leases"]]

    def keep(self, lease: Lease, name: str, media: str, data: bytes, facts: Mapping[str, Any]) -> Item:
        lent = phrases.of_lease(lease)
        answer = self._call("keep", data, lease=lent, name=name, media=media, facts=dict(facts))
        return phrases.item(answer["item"])

    def finish(self, lease: Lease, warnings: Sequence[str] = ()) -> None:
        self._call("finish", lease=phrases.of_lease(lease), warnings=list(warnings))

    def fail(self, lease: Lease, error: str, remedy: str, *, again: bool) -> None:
        self._call("fail", lease=phrases.of_lease(lease), error=error, remedy=remedy, again=again)

    def hand_back(self, lease: Lease) -> None:
        self._call("hand_back", lease=phrases.of_lease(lease))

    def glimpse(self, glimpse: Glimpse) -> None:
        """Tell how far a job is; nobody answers."""
        head, preview = phrases.of_glimpse(glimpse)
        self.connection.send({"tell": "glimpse", "glimpse": head}, preview)

    def beat(self, **facts: Any) -> None:
        """Tell that this worker lives, and how."""
        self.connection.send({"tell": "beat", **facts})

    def _call(self, call: str, body: bytes = b"", **arguments: Any) -> Mapping[str, Any]:
        """Ask and wait.  Raises what the owner raised."""
        waiting: SimpleQueue[Message | None] = SimpleQueue()
        with self._lock:
            if self._gone:
                raise Gone("The owner of the jobs is gone.")
            number = next(self._numbers)
            self._answers[number] = waiting
        self.connection.send({"call": call, "id": number, **arguments}, body)
        answer = waiting.get()
        if answer is None:
            raise Gone("The owner of the jobs is gone.")
        if "error" in answer.head:
            raise phrases.error(answer.head["error"])
        return answer.head
