"""Waiting for jobs without holding a thread: the service's watches, seen from asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from inkwash.jobs.protocol import ATTEMPTS, Job
from inkwash.jobs.serving import Live, News, Watch
from inkwash.server.context import Context
from inkwash.server.errors import Refusal
from inkwash.server.turnstile import step_aside

# Far back in the queue a job is told of every one that leaves before it; that often it need not look.
FAR_BACK, FAR_BACK_SECONDS = 8, 0.25
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

    The request's body must have been read.  A server that goes down lets running jobs finish; for one that has to wait
    for the next start, Refusal 503 is raised.
    """
    step_aside(request.scope)
    left = asyncio.Event()
    listener = asyncio.create_task(_until_gone(request, left))
    try:
        with watching(context.service.live, job=job.id) as (watch, changed):
            while (job := await run_in_threadpool(context.service.desk.get, job.id)).state not in ENDED:
                if context.closing.is_set() and job.state == "queued":
                    raise _closing(job)
                await _something_new(context, job, changed, left)
                if left.is_set():
                    await run_in_threadpool(context.service.desk.cancel, job.id)
                    raise Gone
                changed.clear()
                watch.take()
            return job
    finally:
        listener.cancel()


async def _something_new(context: Context, job: Job, changed: asyncio.Event, left: asyncio.Event) -> None:
    """Until it is worth while to look at the job again."""
    if context.closing.is_set():
        await first_of(changed, left, timeout=1.0)
        return
    await first_of(changed, left, context.closing)
    if job.position is not None and job.position > FAR_BACK:
        await first_of(left, context.closing, timeout=FAR_BACK_SECONDS)


def failed(job: Job) -> Refusal:
    """A job that ended with an error: the request's own fault unless every attempt was used up."""
    status = 500 if job.attempts >= ATTEMPTS else 422
    return Refusal(status, "job_failed", job.error or "The job failed.", job.remedy or "")


def _closing(job: Job) -> Refusal:
    message = "The service is going down; the job is kept and goes on after a restart."
    remedy = f"Ask for it later: GET /api/v1/jobs/{job.id}."
    return Refusal(503, "closing", message, remedy, {"retry-after": "30"})


async def _until_gone(request: Request, left: asyncio.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    left.set()
