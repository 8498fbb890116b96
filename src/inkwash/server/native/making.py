"""Converting, pruning and merging: what would be written, and the job that writes it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from inkwash.checkpoint.making import Making, check_target, planned, target_of, told
from inkwash.core import files
from inkwash.core.errors import InvalidRequest
from inkwash.jobs.protocol import Job, NewJob
from inkwash.server.context import Caller, Context, Here, Who
from inkwash.server.native.shapes import JobOut, job_out
from inkwash.server.turnstile import step_aside

router = APIRouter(prefix="/api/v1/models", tags=["models"])
Name = Annotated[str, Field(min_length=1, max_length=1000)]
Weight = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]


class MakingIn(BaseModel):
    """What is to be made of which models.  name: of the result, without ending; a new one, in the models' folder.

    sources: one model; of merging A and B, or A, B and C.  dtype: of the weights; null: as stored.  folder: convert
    into a diffusers folder.  ema: prune to the EMA weights.  mode, alpha, blocks, base: of merging, as on the command
    line.
    """

    model_config = ConfigDict(extra="forbid")
    task: Literal["convert", "prune", "merge"]
    sources: Annotated[list[Name], Field(min_length=1, max_length=3)]
    name: Annotated[str, Field(min_length=1, max_length=150)]
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    folder: bool = False
    ema: bool = False
    mode: Literal["", "weighted-sum", "add-difference"] = ""
    alpha: Weight = 0.5
    blocks: Annotated[str, Field(max_length=2000)] | None = None
    base: Weight | None = None


class PlanOut(BaseModel):
    """Sizes in bytes.  dtypes: of each, most first.  dropped: what is left out, in words.  fits: on the disk."""

    file: str
    tensors: int
    bytes: int
    dtypes: dict[str, int]
    dropped: dict[str, int]
    notes: list[str]
    free: int
    fits: bool


@router.post("/plan")
async def plan(body: MakingIn, request: Request, context: Here) -> PlanOut:
    """What ``make`` would write; nothing is written."""
    step_aside(request.scope)
    return await run_in_threadpool(_planned, context, _making(body), body.name)


@router.post("/make", status_code=201)
async def make(body: MakingIn, request: Request, context: Here, caller: Who, response: Response) -> JobOut:
    """Have it written, as a job: whole or not at all, over nothing that is there.  It then appears among the models."""
    step_aside(request.scope)
    job = await run_in_threadpool(_submit, context, caller, body)
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return job_out(job, context.service.live)


def _submit(context: Context, caller: Caller, body: MakingIn) -> Job:
    making = _making(body)
    found = _planned(context, making, body.name)
    if not found.fits:
        files.check_room(target_of(making, body.name, context.catalog.roots[0]), found.bytes)
    sources = [context.catalog.find(name).relative for name in making.sources]  # no path of a stranger's in a job
    values: dict[str, Any] = asdict(making) | {"sources": sources, "name": body.name}
    origin = "page" if caller.client else "api"
    return context.service.desk.submit(NewJob(kind="model", request=values, user=caller.user, origin=origin))


def _planned(context: Context, making: Making, name: str) -> PlanOut:
    target = target_of(making, name, context.catalog.roots[0])
    check_target(target)
    with planned(making, context.catalog, hashed=False) as found:
        values = told(found, target)
    return PlanOut(file=target.name, fits=values["bytes"] <= values["free"], **values)


def _making(body: MakingIn) -> Making:
    if any("\0" in name for name in body.sources):
        raise InvalidRequest("No model has such a name.", "List them with GET /api/v1/models.", "sources")
    return Making(
        task=body.task, sources=tuple(body.sources), dtype=body.dtype, folder=body.folder, ema=body.ema,
        mode=body.mode, alpha=body.alpha, blocks=body.blocks or None, base=body.base,
    )  # fmt: skip
