"""The owner's end of the wire: one worker's calls, answered by the store."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from inkwash.core.errors import InkwashError
from inkwash.jobs import phrases
from inkwash.jobs.protocol import Bench, Glimpse
from inkwash.jobs.wire import Connection, Gone, Message

logger = logging.getLogger(__name__)


class Office:
    """Serves one worker in one thread (``serve``); orders may be given from any.

    heard: ``time.monotonic()`` of the last message.  facts: of the last heartbeat: state, model, stuck, ...
    """

    def __init__(
        self,
        worker: str,
        connection: Connection,
        bench: Bench,
        glimpse: Callable[[Glimpse], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.worker = worker
        self.connection = connection
        self.bench = bench
        self.glimpse = glimpse
        self.clock = clock
        self.heard: float | None = None
        self.facts: Mapping[str, Any] = {}

    def serve(self) -> None:
        """Answer until the worker is gone."""
        try:
            while (message := self.connection.receive()) is not None:
                self.heard = self.clock()
                if "call" in message.head:
                    self.connection.send(*self._answered(message))
                elif message.head["tell"] == "glimpse":
                    self.glimpse(phrases.glimpse(message.head["glimpse"], message.body))
                else:
                    self.facts = message.head
        except Gone:
            pass
        finally:
            self.connection.close()

    def order(self, order: str, **arguments: Any) -> None:
        """Tell the worker something; if it is gone, so is the order."""
        with contextlib.suppress(Gone):
            self.connection.send({"order": order, **arguments})

    def _answered(self, message: Message) -> tuple[dict[str, Any]]:
        answer: dict[str, Any] = {"answer": message.head["id"]}
        try:
            answer |= self._call(message)
        except InkwashError as error:
            answer["error"] = phrases.of_error(error)
        except Exception as error:  # a defect here; the worker fails one job with it and goes on
            logger.exception("answering %s", message.head["call"])
            answer["error"] = {"error": "InkwashError", "message": f"The store failed: {error!r}.", "remedy": ""}
        return (answer,)

    def _call(self, message: Message) -> dict[str, Any]:
        head = message.head
        match head["call"]:
            case "claim":
                lease = self.bench.claim(self.worker, model=head["model"])
                return {"lease": None if lease is None else phrases.of_lease(lease)}
            case "renew":
                held = self.bench.renew([phrases.lease(lease) for lease in head["leases"]])
                return {"leases": [phrases.of_lease(lease) for lease in held]}
            case "keep":
                lease = phrases.lease(head["lease"])
                item = self.bench.keep(lease, head["name"], head["media"], message.body, head["facts"])
                return {"item": phrases.of_item(item)}
            case "finish":
                self.bench.finish(phrases.lease(head["lease"]), head["warnings"])
            case "fail":
                self.bench.fail(phrases.lease(head["lease"]), head["error"], head["remedy"], again=head["again"])
            case "hand_back":
                self.bench.hand_back(phrases.lease(head["lease"]))
            case unknown:
                raise InkwashError(f"A worker called {unknown!r}, which is not known.", "Start one of this version.")
        return {}
