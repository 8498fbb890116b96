"""Jobs: hand in, list, look at, cancel, try again; and what they made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import FileResponse

from inkwash.core import parameters, wire
from inkwash.core.limits import Limits
from inkwash.jobs.protocol import Job, NewJob, State
from inkwash.server import enlarging, explain, orders, sources
from inkwash.server.context import Caller, Context, Here, Who
from inkwash.server.errors import Refusal
from inkwash.server.files import handed_out
from inkwash.server.native.shapes import JobOut, JobsOut, job_out

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
Source = Literal["init_image", "mask", "depth"]


def _told(schema: dict[str, Any]) -> None:
    """A GenerateRequest's fields, from the one table; or an explanation's."""
    schema["anyOf"] = [parameters.json_schema(Limits()), {"type": "object"}]


class JobIn(BaseModel):
    """kind "generate": request is a GenerateRequest, its pictures in base64, as the gallery's ids,
    or as {"sha256": ...} of one sent before; "explain": a drawing to take apart, with ``cfgs``; "extras": an
    ``image`` to be enlarged and not redrawn, by ``upscaler`` to ``width`` and ``height``, its faces restored by
    ``restore_faces``.

    sweep: a cell of one; enlarging: a pass of one.  That is then its origin, by which clients tell it from single
    drawings."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["generate", "explain", "extras"] = "generate"
    request: dict[str, JsonValue] = Field(json_schema_extra=_told)
    priority: int = Field(0, ge=-100, le=100)
    key: str | None = Field(None, max_length=200)
    sweep: bool = False
    enlarging: bool = False


@router.post("", status_code=201)
def submit(
    body: JobIn,
    context: Here,
    caller: Who,
    response: Response,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> JobOut:
    """Hand in a job.  The same key (or Idempotency-Key) from the same user is the same job."""
    if body.priority > 0 and context.accounts.needed:
        raise Refusal(
            403, "priority", "Where users take turns nobody goes first.", "Leave priority out.", field="priority"
        )
    new = NewJob(
        kind=body.kind,
        request=_settled(context, caller, body),
        user=caller.user,
        priority=body.priority,
        key=body.key or idempotency_key,
        origin=_origin(body, caller),
    )
    job = context.service.desk.submit(new)
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return job_out(job, context.service.live)


@router.get("")
def jobs(
    context: Here,
    caller: Who,
    state: Annotated[list[State] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[str | None, Query(max_length=100)] = None,
) -> JobsOut:
    """The caller's jobs, newest first.  before: the id that a page continues after."""
    found = context.service.desk.list(user=caller.watched, states=state or (), limit=limit, before=before)
    return JobsOut(jobs=[job_out(job, context.service.live) for job in found])


@router.get("/{job}")
def job(job: str, context: Here, caller: Who) -> JobOut:
    return job_out(context.job(job, caller), context.service.live)


@router.post("/{job}/cancel")
def cancel(job: str, context: Here, caller: Who) -> JobOut:
    """A queued job is gone at once, a running one within a step; one that has ended stays as it is."""
    return _after(context, caller, job, "cancel")


@router.post("/{job}/skip")
def skip(job: str, context: Here, caller: Who) -> JobOut:
    """The batch at work is ended within a step, its pictures kept as they stand, and the next begun."""
    return _after(context, caller, job, "skip")


@router.post("/{job}/interrupt")
def interrupt(job: str, context: Here, caller: Who) -> JobOut:
    """Likewise, and no batch follows: the job is done.  A queued one is cancelled."""
    return _after(context, caller, job, "interrupt")


@router.post("/{job}/retry", status_code=201)
def retry(job: str, context: Here, caller: Who, response: Response) -> JobOut:
    """A new job of the same request, for one that failed or was cancelled."""
    found = _after(context, caller, job, "retry")
    response.headers["location"] = f"/api/v1/jobs/{found.id}"
    return found


@router.get("/{job}/items/{name}", response_class=FileResponse)
def item(job: str, name: str, request: Request, context: Here, caller: Who) -> Response:
    """One thing the job made."""
    found = next((item for item in context.job(job, caller).items if item.name == name), None)
    if found is None:
        raise Refusal(404, "item_not_found", f"The job has no item {name[:80]!r}.", "Look at the job's items.")
    return handed_out(context, found.path, found.media)


@router.get("/{job}/sources/{name}", response_class=FileResponse)
def source(job: str, name: Source, context: Here, caller: Who) -> Response:
    """A picture that the job starts from: the one it redraws, its mask, its depth map."""
    given = context.job(job, caller).request.get(name)
    digest = given.get(wire.HASH, "") if isinstance(given, dict) else ""
    if not digest or not context.blobs.has(digest):
        raise Refusal(404, "source_not_found", f"The job has no {name} that is kept here.", "Look at its request.")
    return handed_out(context, context.blobs.file(digest), "image/png")


def _origin(body: JobIn, caller: Caller) -> str:
    if body.sweep or body.enlarging:
        return "sweep" if body.sweep else "enlarging"
    return "page" if caller.client else "api"


def _settled(context: Context, caller: Caller, body: JobIn) -> dict[str, Any]:
    """Raises InvalidRequest, ModelNotFound, DamagedFile."""
    if body.kind == "extras":
        return enlarging.settled(context, caller, body.request)
    given = sources.referred(context, caller, body.request)
    return orders.from_json(context, given) if body.kind == "generate" else explain.settled(context, given)


def _after(context: Context, caller: Caller, job: str, verb: Literal["cancel", "skip", "interrupt", "retry"]) -> JobOut:
    own, desk = context.job(job, caller), context.service.desk
    doing: dict[str, Callable[[str], Job]] = {
        "cancel": desk.cancel, "skip": desk.skip, "interrupt": desk.interrupt, "retry": desk.retry,
    }  # fmt: skip
    return job_out(doing[verb](own.id), context.service.live)
