"""Jobs as they happen: server-sent events with states, progress and previews."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from inkwash.jobs.protocol import Job, JobNotFound
from inkwash.server.answers import finite
from inkwash.server.context import Context, Here, Who
from inkwash.server.native.shapes import glimpse_json, job_json
from inkwash.server.waiting import ENDED, news, watching

router = APIRouter(prefix="/api/v1", tags=["jobs"])
QUIET = 15.0  # seconds of silence, then a comment keeps the connection open
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@router.get("/jobs/{job}/events", response_class=StreamingResponse)
def job_events(job: str, context: Here, caller: Who) -> StreamingResponse:
    """One job: ``job`` on every change, at once the first time; ``glimpse`` while it is drawn.  Ends with the job."""
    return _stream(_of_job(context, context.job(job, caller)))


@router.get("/events", response_class=StreamingResponse)
def events(context: Here, caller: Who) -> StreamingResponse:
    """All of the caller's jobs: first those that wait or run, then whatever happens."""
    return _stream(_of_user(context, caller.watched))


def _stream(lines: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(lines, media_type="text/event-stream", headers=HEADERS)


async def _of_job(context: Context, job: Job) -> AsyncIterator[str]:
    with watching(context.service.live, job=job.id) as (watch, changed):
        job = await run_in_threadpool(context.service.desk.get, job.id)
        yield event("job", job_json(job, context.service.live))
        if job.state in ENDED:
            return
        async for seen in news(watch, changed, context.closing, QUIET):
            for part in await _told(context, seen.jobs):
                yield event("job", part)
                if part["state"] in ENDED:
                    return
            for glimpse in seen.glimpses:
                yield event("glimpse", glimpse_json(glimpse))
            if not seen.jobs and not seen.glimpses:
                yield ": still here\n\n"


async def _of_user(context: Context, user: str | None) -> AsyncIterator[str]:
    with watching(context.service.live, user=user) as (watch, changed):
        yield ": hello\n\n"
        for job in await run_in_threadpool(_active, context, user):
            yield event("job", job_json(job, context.service.live))
        async for seen in news(watch, changed, context.closing, QUIET):
            for part in await _told(context, seen.jobs):
                yield event("job", part)
            for glimpse in seen.glimpses:
                yield event("glimpse", glimpse_json(glimpse))
            if not seen.jobs and not seen.glimpses:
                yield ": still here\n\n"


def _active(context: Context, user: str | None) -> Sequence[Job]:
    """Oldest first, as they came."""
    return list(reversed(context.service.desk.list(user=user, states=("queued", "running"), limit=500)))


async def _told(context: Context, jobs: Sequence[str]) -> list[dict[str, Any]]:
    return await run_in_threadpool(lambda: [part for job in jobs for part in _job(context, job)])


def _job(context: Context, job: str) -> list[dict[str, Any]]:
    try:
        return [job_json(context.service.desk.get(job), context.service.live)]
    except JobNotFound:  # forgotten meanwhile
        return []


def event(name: str, content: dict[str, Any]) -> str:
    data = json.dumps(finite(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"event: {name}\ndata: {data.encode('utf-8', 'replace').decode()}\n\n"
