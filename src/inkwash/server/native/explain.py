"""*How it works*: noise added to a picture, as a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from inkwash.jobs.protocol import NewJob
from inkwash.server import explain, uploads
from inkwash.server.context import Caller, Context, Here, Who
from inkwash.server.native.shapes import JobOut, job_out
from inkwash.server.sources import is_id

router = APIRouter(prefix="/api/v1/explain", tags=["explain"])
T = Annotated[int, Field(ge=0, le=explain.LAST_T)]


class Noise(BaseModel):
    """picture: base64, a data URI, or the id of one in the gallery.  t: one timestep or several, 0..999."""

    model_config = ConfigDict(extra="forbid")
    picture: str
    t: T | list[T] = 500
    seed: int = Field(0, ge=0, lt=2**63)


@router.post("/noise", status_code=201)
def noise(body: Noise, context: Here, caller: Who) -> JobOut:
    """The forward process on a picture of one's own; the noisy pictures are the job's items."""
    steps = [body.t] if isinstance(body.t, int) else body.t
    request = explain.noising(_path(context, caller, body.picture), steps, body.seed)
    job = context.service.desk.submit(NewJob(kind="explain", request=request, user=caller.user, origin="page"))
    return job_out(job, context.service.live)


def _path(context: Context, caller: Caller, picture: str) -> Path:
    """Where the worker finds the picture: the gallery's file, or the uploaded one, kept by its hash."""
    if is_id(picture):
        return context.check_file(context.picture(picture, caller).path)
    data = uploads.picture_bytes(picture, urls=False, limit=0)
    return uploads.kept(data, context.settings.data_dir)
