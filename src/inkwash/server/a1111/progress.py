"""progress, interrupt, skip: of the caller's own jobs, never of another's."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter

from inkwash import __version__
from inkwash.core.wire import from_json
from inkwash.jobs.protocol import Glimpse, Job, JobNotFound
from inkwash.server.a1111.calls import Call
from inkwash.server.a1111.schema import Progress
from inkwash.server.context import Caller, Context, Here, Who
from inkwash.server.waiting import ENDED

router = APIRouter(tags=["A1111"])
SHOWN = ("generate", "extras")  # kinds of jobs that A1111 has too
BEGUN = 0.01  # what A1111 answers for a job that has not drawn a step yet; idle is exactly 0


@router.get("/sdapi/v1/progress")
def progress(context: Here, caller: Who, skip_current_image: bool = False) -> dict[str, Any]:
    job = _current(context, caller)
    glimpse = context.service.live.latest(job.id) if job else None
    call = context.calls.of(job.id) if job else None
    return {
        "progress": 0.0 if job is None else max(BEGUN, _fraction(call, glimpse)),
        "eta_relative": (glimpse.seconds_left or 0.0) if glimpse else 0.0,
        "state": _state(job, glimpse, call),
        "current_image": None if skip_current_image else _picture(glimpse),
        "textinfo": "Waiting..." if job and job.state == "queued" else None,
    }


@router.post("/sdapi/v1/interrupt")
def interrupt(context: Here, caller: Who) -> dict[str, Any]:
    """End the caller's current call within a step; it answers with what was drawn, the last picture as it stands."""
    job = _current(context, caller)
    call = context.calls.of(job.id) if job else None
    if call is not None:
        call.stopped = True
    for one in call.jobs[:] if call else [job.id] if job else ():
        context.service.desk.interrupt(one)
    return {}


@router.post("/sdapi/v1/skip")
def skip(context: Here, caller: Who) -> dict[str, Any]:
    """End the batch that is drawn within a step, as it stands; the call goes on with the next one."""
    job = _current(context, caller)
    if job is not None:
        context.service.desk.skip(job.id)
    return {}


@router.post("/internal/progress")
def task_progress(body: Progress, context: Here, caller: Who) -> dict[str, Any]:
    """One task by its id: force_task_id, or the job's own."""
    job = _of_task(context, caller, body.id_task or "")
    glimpse = context.service.live.latest(job.id) if job and job.state == "running" else None
    shown = glimpse is not None and glimpse.preview is not None and body.live_preview
    number = glimpse.step + glimpse.picture * glimpse.steps if glimpse else -1
    fresh = shown and number != body.id_live_preview
    return {
        "active": job is not None and job.state == "running",
        "queued": job is not None and job.state == "queued",
        "completed": job is not None and job.state in ENDED,
        "progress": _fraction(context.calls.of(glimpse.job), glimpse) if glimpse else None,
        "eta": glimpse.seconds_left if glimpse else None,
        "live_preview": f"data:{glimpse.media};base64,{_picture(glimpse)}" if fresh and glimpse else None,
        "id_live_preview": number if fresh else body.id_live_preview,
        "textinfo": None if job is None or job.position is None else f"In queue: {job.position + 1}",
    }


@router.get("/internal/pending-tasks")
def pending(context: Here, caller: Who) -> dict[str, Any]:
    waiting = list(reversed(_own(context, caller, ("queued",))))
    return {"size": len(waiting), "tasks": [context.tasks.task(job.id) for job in waiting]}


@router.get("/internal/ping")
def ping() -> dict[str, Any]:
    return {}


@router.get("/internal/quicksettings-hint")
def quicksettings(context: Here, caller: Who) -> list[dict[str, str]]:
    return [{"name": name, "label": name.replace("_", " ")} for name in context.options.of(caller.user)]


@router.get("/internal/sysinfo")
def sysinfo(context: Here) -> dict[str, Any]:
    """What a person may send along with a question; no folders, no names of people."""
    now = context.service.system()
    return {
        "Version": f"Inkwash {__version__}",
        "Device": now.worker.device,
        "Number format": now.worker.dtype,
        "RAM": {"total": now.memory_total, "free": now.memory_free},
        "Uptime": now.uptime,
    }


def _own(context: Context, caller: Caller, states: Sequence[Any]) -> Sequence[Job]:
    found = context.service.desk.list(user=caller.user, states=states, limit=500)
    return [job for job in found if job.kind != "model"]  # A1111's clients interrupt what is drawn


def _current(context: Context, caller: Caller) -> Job | None:
    """The caller's job that has run longest, else the one that comes next."""
    found = [job for job in _own(context, caller, ("running", "queued")) if job.kind in SHOWN]
    return min(found, key=lambda job: (job.state != "running", job.started or job.created, job.created), default=None)


def _of_task(context: Context, caller: Caller, task: str) -> Job | None:
    job = context.tasks.job(caller.user, task) or task
    if (call := context.calls.of(job)) is not None:
        job = next(iter(call.jobs[:1]), job)  # of those under way the task names the last
    try:
        found = context.service.desk.get(job)
    except JobNotFound:
        return None
    return found if found.user == caller.user else None


def _fraction(call: Call | None, glimpse: Glimpse | None) -> float:
    """Of the whole call, 0..1."""
    fraction = min(glimpse.fraction, 1.0) if glimpse else 0.0
    return fraction if call is None else (call.done + fraction) / call.total


def _state(job: Job | None, glimpse: Glimpse | None, call: Call | None) -> dict[str, Any]:
    batches, batch = (0, 0) if job is None else _batches(job, glimpse)
    if call is not None:
        batches, batch = batches * call.total, batch + batches * call.done
    return {
        "skipped": False,
        "interrupted": job is not None and job.interrupted,
        "stopping_generation": False,
        "job": "" if job is None else f"Batch {batch + 1} out of {batches}",
        "job_count": batches,
        "job_timestamp": "0" if job is None else f"{datetime.fromtimestamp(job.created):%Y%m%d%H%M%S}",
        "job_no": batch,
        "sampling_step": glimpse.step if glimpse else 0,
        "sampling_steps": glimpse.steps if glimpse else 0,
    }


def _batches(job: Job, glimpse: Glimpse | None) -> tuple[int, int]:
    """How many batches the job has, and which is being drawn."""
    if job.kind == "extras":
        return len(job.request["images"]), glimpse.picture if glimpse else 0
    request = from_json(job.request)
    return request.batch_count, glimpse.picture // request.batch_size if glimpse else 0


def _picture(glimpse: Glimpse | None) -> str | None:
    if glimpse is None or glimpse.preview is None:
        return None
    return base64.b64encode(glimpse.preview).decode()
