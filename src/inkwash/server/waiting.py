"""Waiting for jobs without holding a thread: the service's watches, seen from asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from inkwash.jobs.protocol import Job
from inkwash.jobs.serving import Live, News, Watch
from inkwash.server.context import Context
from inkwash.server.errors import Refusal

ENDED = ("done", "failed", "cancelled")


class Gone(Exception):
    """The client has left while it was waiting."""


@contextlib.contextmanager
def watching(live: Live, *, job: str | None = None, user: str | None = None) -> Iterator[tuple[Watch, asyncio.Event]]:
    """A watch, and the event that is set when it has something new."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended; nobody waits any more
            loop.call_soon_threadsafe(event.set)

    watch = live.watch(wake, job=job, user=user)
    try:
        yield watch, event
    finally:
        watch.close()


async def news(watch: Watch, event: asyncio.Event, closing: asyncio.Event, quiet: float) -> AsyncIterator[News]:
    """What is new, as it comes; empty News after ``quiet`` seconds of silence.  Ends when the server closes."""
    while not closing.is_set():
        await first_of(event, closing, timeout=quiet)
        event.clear()
        if not closing.is_set():
            yield watch.take()


async def first_of(*events: asyncio.Event, timeout: float | None = None) -> None:
    """Until one of the events is set or the time is over."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def finished(context: Context, job: Job, request: Request) -> Job:
    """The job when it has ended.  If the client leaves first, the job is cancelled and Gone raised.

    The request's body must have been read.  A server that goes down lets running jobs finish first; what is still
    waiting then is answered with 503 and goes on after the restart.
    """
    left = asyncio.Event()
    listener = asyncio.create_task(_until_gone(request, left))
    try:
        with watching(context.service.live, job=job.id) as (watch, changed):
            job = await run_in_threadpool(context.service.desk.get, job.id)
            while job.state not in ENDED:
                await first_of(changed, left, context.closing)
                if left.is_set():
                    await run_in_threadpool(context.service.desk.cancel, job.id)
                    raise Gone
                changed.clear()
                seen = watch.take()
                if seen.jobs or context.closing.is_set():
                    job = await run_in_threadpool(context.service.desk.get, job.id)
                if context.closing.is_set() and job.state == "queued":
                    raise _closing(job)
                if context.closing.is_set() and job.state == "running":
                    await first_of(changed, left, timeout=1.0)
            return job
    finally:
        listener.cancel()


def _closing(job: Job) -> Refusal:
    message = "The service is going down; the job is kept and goes on after a restart."
    remedy = f"Ask for it later: GET /api/v1/jobs/{job.id}."
    return Refusal(503, "closing", message, remedy, {"retry-after": "30"})


async def _until_gone(request: Request, left: asyncio.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    left.set()
