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
from inkwash.server.waiting import Gone, failed, finished

router = APIRouter(prefix="/v1", tags=["OpenAI"])
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)
Format = Literal["url", "b64_json"]


class Generation(BaseModel):
    """Fields of OpenAI's that mean nothing here (quality, style, user, ...) are ignored."""

    model_config = ConfigDict(extra="ignore")
    prompt: str
    model: Annotated[str, Field(max_length=1000)] | None = None
    n: Annotated[int, Field(ge=1, le=10)] | None = 1
    size: Annotated[str, Field(max_length=20)] | None = "auto"
    response_format: Format | None = "url"


@router.post("/images/generations")
async def generations(body: Generation, request: Request, context: Here, caller: Who) -> Response:
    """Draw ``n`` pictures.  model: one of ours; names of OpenAI's (dall-e-..., gpt-image-...) mean the default."""
    width, height = size_of(body.size)
    drawn = GenerateRequest(
        prompt=body.prompt, model=model_of(body.model), width=width, height=height, batch_count=body.n or 1
    )
    return await answered(drawn, request, context, caller, body.response_format)


async def answered(
    drawn: GenerateRequest, request: Request, context: Context, caller: Caller, response_format: Format | None
) -> Response:
    """When the pictures are there.  If the client leaves, the job is cancelled within a step."""
    job = await run_in_threadpool(_submit, context, caller, drawn)
    try:
        done = await finished(context, job, request)
    except Gone:
        return Response(status_code=499)
    base = str(request.base_url).rstrip("/")
    return Json(await run_in_threadpool(_answer, context, done, base, response_format == "b64_json"))


def model_of(name: str | None) -> str | None:
    """None: the default, which OpenAI's own names mean."""
    return None if name is None or name.startswith(("dall-e", "gpt-image")) else name


def size_of(text: str | None) -> tuple[int | None, int | None]:
    """Raises InvalidRequest."""
    if text is None or text == "auto":
        return None, None
    found = _SIZE.fullmatch(text)
    if found is None:
        raise InvalidRequest(f"size is {text!r}.", 'Write it as "512x512", or "auto".', "size")
    return int(found[1]), int(found[2])


def _submit(context: Context, caller: Caller, drawn: GenerateRequest) -> Job:
    request = orders.as_json(context, orders.settle(context, drawn))
    return context.service.desk.submit(NewJob(kind="generate", request=request, user=caller.user, origin="openai"))


def _answer(context: Context, job: Job, base: str, inline: bool) -> dict[str, Any]:
    if job.state == "cancelled":
        raise Refusal(409, "cancelled", "The job was cancelled.", "Ask again.")
    if job.state == "failed":
        raise failed(job)
    return {
        "created": int(job.finished or time.time()),
        "data": [_picture(context, job, item, base, inline) for item in job.items],
    }


def _picture(context: Context, job: Job, item: Item, base: str, inline: bool) -> dict[str, str]:
    if inline:
        return {"b64_json": base64.b64encode(context.check_file(Path(item.path)).read_bytes()).decode()}
    return {"url": f"{base}{item_out(job, item).url}"}
