"""POST /v1/images/generations in OpenAI's shape: a prompt, pictures back."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest
from inkwash.jobs.protocol import Item, Job, NewJob
from inkwash.server import orders
from inkwash.server.answers import Json
from inkwash.server.context import Caller, Context, Here, Who
from inkwash.server.errors import Refusal
from inkwash.server.native.shapes import item_out
from inkwash.server.waiting import Gone, finished

router = APIRouter(prefix="/v1", tags=["OpenAI"])
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)


class Generation(BaseModel):
    """Fields of OpenAI's that mean nothing here (quality, style, user, ...) are ignored."""

    model_config = ConfigDict(extra="ignore")
    prompt: str
    model: Annotated[str, Field(max_length=1000)] | None = None
    n: Annotated[int, Field(ge=1, le=10)] | None = 1
    size: Annotated[str, Field(max_length=20)] | None = "auto"
    response_format: Literal["url", "b64_json"] | None = "url"


@router.post("/images/generations")
async def generations(body: Generation, request: Request, context: Here, caller: Who) -> Response:
    """Draw ``n`` pictures.  model: one of ours; names of OpenAI's (dall-e-..., gpt-image-...) mean the default."""
    job = await run_in_threadpool(_submit, context, caller, body)
    try:
        done = await finished(context, job, request)
    except Gone:
        return Response(status_code=499)
    base = str(request.base_url).rstrip("/")
    return Json(await run_in_threadpool(_answer, context, body, done, base))


def _submit(context: Context, caller: Caller, body: Generation) -> Job:
    width, height = _size(body.size or "auto")
    theirs = (body.model or "dall-e").startswith(("dall-e", "gpt-image"))
    drawn = GenerateRequest(
        prompt=body.prompt,
        model=None if theirs else body.model,
        width=width,
        height=height,
        batch_count=body.n or 1,
    )
    request = orders.as_json(context, orders.settle(context, drawn))
    return context.service.desk.submit(NewJob(kind="generate", request=request, user=caller.user, origin="openai"))


def _size(text: str) -> tuple[int | None, int | None]:
    if text == "auto":
        return None, None
    found = _SIZE.fullmatch(text)
    if found is None:
        raise InvalidRequest(f"size is {text!r}.", 'Write it as "512x512", or "auto".', "size")
    return int(found[1]), int(found[2])


def _answer(context: Context, body: Generation, job: Job, base: str) -> dict[str, Any]:
    if job.state == "cancelled":
        raise Refusal(409, "cancelled", "The job was cancelled.", "Ask again.")
    if job.state == "failed":
        raise Refusal(500 if job.attempts > 1 else 422, "job_failed", job.error or "It failed.", job.remedy or "")
    return {
        "created": int(job.finished or time.time()),
        "data": [_picture(context, body, job, item, base) for item in job.items],
    }


def _picture(context: Context, body: Generation, job: Job, item: Item, base: str) -> dict[str, str]:
    if body.response_format == "b64_json":
        return {"b64_json": base64.b64encode(context.check_file(Path(item.path)).read_bytes()).decode()}
    return {"url": f"{base}{item_out(job, item).url}"}
