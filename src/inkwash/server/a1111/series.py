"""One call of A1111's API, which may take many jobs: a plan yields requests, is sent what was drawn, and answers.

def twice(request):
    (first,) = yield [request]
    (second,) = yield [replace(request, init_image=first[0].image())]
    return Outcome(pieces=[*first, *second])
"""

from __future__ import annotations

import dataclasses
import secrets
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from PIL import Image
from starlette.concurrency import run_in_threadpool

from inkwash.core import images
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest
from inkwash.jobs.protocol import Item, Job, QueueFull
from inkwash.jobs.records import SEEDS
from inkwash.server import orders
from inkwash.server.a1111.calls import Call
from inkwash.server.context import Context
from inkwash.server.waiting import failed, finished

AT_ONCE = 8  # jobs of one call in the queue; more would only keep others' places


@dataclass(frozen=True, eq=False)
class Piece:
    """One picture that was drawn.  path: where it is until the call is answered."""

    job: Job
    item: Item
    path: Path

    def image(self) -> Image.Image:
        return images.load(self.path)

    @property
    def ended_early(self) -> bool:
        """Whether it was skipped or interrupted, and is as it stood then."""
        return "ended_at" in self.item.facts


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is answered.  sheets: put together from the pieces, and first.  shown: whether the pieces follow."""

    pieces: Sequence[Piece] = ()
    sheets: Sequence[Image.Image] = ()
    shown: bool = True


Drawn = Sequence[Sequence[Piece]]
Plan = Generator[Sequence[GenerateRequest], Drawn, Outcome]
"""Yields requests that may be drawn side by side; is sent the pieces of each.  Fewer, or none, after an interrupt."""


def with_seed(request: GenerateRequest) -> GenerateRequest:
    """Random seeds decided, the same for all that is made of the request."""
    return dataclasses.replace(request, seed=_decided(request.seed), subseed=_decided(request.subseed))


def _decided(seed: int) -> int:
    return secrets.randbelow(SEEDS) if seed < 0 else seed


def each(requests: Sequence[GenerateRequest]) -> Plan:
    """All of them, side by side."""
    drawn = yield requests
    return Outcome([piece for pieces in drawn for piece in pieces])


async def carried_out(context: Context, request: Request, call: Call, plan: Plan) -> Outcome:
    """Draw what the plan asks for.  If the client leaves, everything is cancelled and ``waiting.Gone`` raised.

    Raises Refusal if a job fails, InvalidRequest for more pictures than one request may have.
    """
    drawn: Drawn | None = None
    with context.calls.open(call):
        while True:
            wanted = await run_in_threadpool(_next, plan, drawn)
            if isinstance(wanted, Outcome):
                return wanted
            wanted = await run_in_threadpool(_settled, context, wanted)
            call.total = max(call.total, call.done + len(wanted))
            drawn = await _drawn(context, request, call, wanted)


def _next(plan: Plan, drawn: Drawn | None) -> Sequence[GenerateRequest] | Outcome:
    try:
        return plan.send(drawn) if drawn is not None else next(plan)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


def _settled(context: Context, wanted: Sequence[GenerateRequest]) -> Sequence[GenerateRequest]:
    """All of them checked before the first is drawn.  Raises InvalidRequest or ModelNotFound."""
    count, most = sum(one.batch_size * one.batch_count for one in wanted), context.settings.server.pictures
    if count > most:
        raise InvalidRequest(f"{count} pictures are asked for; at most {most} are drawn for one request.",
                             "Ask for fewer at a time.", "script_args")  # fmt: skip
    return [orders.settle(context, one) for one in wanted]


async def _drawn(context: Context, request: Request, call: Call, wanted: Sequence[GenerateRequest]) -> Drawn:
    """Some at a time, in order."""
    waiting, flying, drawn = deque(wanted), deque[Job](), list[Sequence[Piece]]()
    try:
        while (waiting and not call.stopped) or flying:
            await _submit(context, call, waiting, flying)
            job = await finished(context, flying[0], request)
            flying.popleft()
            call.jobs.remove(job.id)
            call.done += 1
            drawn.append(await run_in_threadpool(_pieces, context, job))
    finally:
        call.jobs.clear()
        for job in () if context.closing.is_set() else flying:  # what waits at the end goes on after a restart
            await run_in_threadpool(context.service.desk.cancel, job.id)
    return drawn


async def _submit(context: Context, call: Call, waiting: deque[GenerateRequest], flying: deque[Job]) -> None:
    """As many as may fly; a full queue is only an error while none of the call's own is in it."""
    while waiting and len(flying) < AT_ONCE and not call.stopped:
        try:
            job = await run_in_threadpool(call.submit, waiting[0])
        except QueueFull:
            if not flying:
                raise
            return
        waiting.popleft()
        flying.append(job)
        call.jobs.append(job.id)
        call.first = call.first or job
        if call.stopped:  # while it was handed in
            await run_in_threadpool(context.service.desk.interrupt, job.id)


def _pieces(context: Context, job: Job) -> Sequence[Piece]:
    """Raises Refusal if the job failed.  A cancelled one has the pictures that were finished, as in A1111."""
    if job.state == "failed":
        raise failed(job)
    pictures = [item for item in job.items if item.media.startswith("image/")]
    return [Piece(job, item, context.check_file(Path(item.path))) for item in pictures]
