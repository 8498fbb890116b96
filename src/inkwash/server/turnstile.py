"""So many requests are worked on at once, the others wait their turn; health never waits.

A thousand clients that arrive together would otherwise all be begun together, and whoever asks for health would wait
for every one of them.  A request that waits for a job steps aside and lets the next one through.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

from starlette.types import ASGIApp, Message, Receive, Scope, Send

AT_ONCE = 8
PATIENCE = 0.02  # seconds that a body may take on its way without losing its place
PASSES = frozenset({"/health"})


class Turn:
    """One request's place.  It is given up for good when the answer starts or the route begins to wait."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._held = False
        self._over = False

    async def enter(self) -> None:
        if not self._over:
            await self._places.acquire()
            self._held = True

    def pause(self) -> None:
        if self._held:
            self._held = False
            self._places.release()

    def leave(self) -> None:
        self._over = True
        self.pause()

    async def receive(self, receive: Receive) -> Message:
        """The next part of the body.  Who sends it slowly holds no place meanwhile."""
        if not self._held:
            return await receive()
        try:
            async with asyncio.timeout(PATIENCE):
                return await receive()
        except TimeoutError:
            self.pause()
        message = await receive()
        await self.enter()
        return message


@dataclass
class Turnstile:
    app: ASGIApp
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PASSES:
            await self.app(scope, receive, send)
            return
        turn = Turn(self.places)
        scope.setdefault("state", {})["turn"] = turn

        async def sending(message: Message) -> None:
            turn.leave()  # a slow reader keeps nobody waiting
            await send(message)

        try:
            await turn.enter()
            await self.app(scope, partial(turn.receive, receive), sending)
        finally:
            turn.leave()


def step_aside(scope: Scope) -> None:
    """Called by a route that will wait: for a job, or for news."""
    scope["state"]["turn"].leave()
