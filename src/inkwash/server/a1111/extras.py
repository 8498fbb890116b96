"""A1111's tab "Extras" over HTTP: pictures enlarged and faces restored, through the same queue as drawings."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from inkwash.core import extras
from inkwash.core.choices import PICTURE_UPSCALERS
from inkwash.core.errors import InvalidRequest
from inkwash.core.extras import Extras, FaceRestoration
from inkwash.jobs.protocol import Job, NewJob
from inkwash.server import orders, uploads
from inkwash.server.a1111 import schema
from inkwash.server.a1111.schema import ExtraBatch, ExtraSingle
from inkwash.server.answers import Json
from inkwash.server.context import Caller, Context, Here, Who
from inkwash.server.errors import Refusal
from inkwash.server.waiting import Gone, failed, finished

router = APIRouter(tags=["A1111"])
API = "/sdapi/v1"


@router.post(f"{API}/extra-single-image")
async def extra_single(body: ExtraSingle, request: Request, context: Here, caller: Who) -> Response:
    """Enlarge one picture.  If the client leaves, the job is cancelled within a tile."""
    return await _answered(body, [body.image], "image", request, context, caller)


@router.post(f"{API}/extra-batch-images")
async def extra_batch(body: ExtraBatch, request: Request, context: Here, caller: Who) -> Response:
    """Likewise several, in order."""
    return await _answered(body, [one.data for one in body.imageList], "images", request, context, caller)


async def _answered(
    body: schema.Extras, pictures: Sequence[str], field: str, request: Request, context: Context, caller: Caller
) -> Response:
    job = await run_in_threadpool(_submit, context, caller, body, pictures)
    try:
        done = await finished(context, job, request)
    except Gone:
        return Response(status_code=499)
    return Json(await run_in_threadpool(_answer, context, done, field))


def _submit(context: Context, caller: Caller, body: schema.Extras, pictures: Sequence[str]) -> Job:
    wanted = extras.check(_wanted(context, body, pictures), context.settings.limits)
    request = extras.to_json(wanted, context.blobs.keep)
    new = NewJob(kind="extras", request=request, user=caller.user, origin="a1111", keep=False)
    return context.service.desk.submit(new)


def _wanted(context: Context, body: schema.Extras, pictures: Sequence[str]) -> Extras:
    """Raises InvalidRequest, DamagedFile."""
    most = context.settings.server.pictures
    if len(pictures) > most:
        raise InvalidRequest(f"{len(pictures)} pictures were sent; at most {most} are enlarged for one request.",
                             "Send fewer at a time.", "imageList")  # fmt: skip
    serving = context.settings.server
    sent = [
        uploads.picture_bytes(text, urls=serving.allow_image_urls, limit=serving.body_mb * 2**20) for text in pictures
    ]
    return Extras(
        images=tuple(uploads.picture(data, context.settings.limits.side) for data in sent),
        infotexts=tuple(uploads.metadata(data).infotext for data in sent),
        upscaler=_named(context, body.upscaler_1),
        scale=body.upscaling_resize,
        size=(body.upscaling_resize_w, body.upscaling_resize_h) if body.resize_mode == 1 else None,
        crop=body.upscaling_crop,
        second_upscaler=_named(context, body.upscaler_2),
        second_visibility=body.extras_upscaler_2_visibility,
        faces=_faces(context, body),
        upscale_first=body.upscale_first,
    )


def _named(context: Context, name: str) -> str:
    return orders.upscaler(context, name or extras.NONE, (extras.NONE, *PICTURE_UPSCALERS))


def _faces(context: Context, body: schema.Extras) -> tuple[FaceRestoration, ...]:
    """GFPGAN, then CodeFormer, as A1111 has them.  Raises InvalidRequest, ModelNotFound."""
    gfpgan, codeformer = body.gfpgan_visibility, body.codeformer_visibility
    asked = (("GFPGAN", gfpgan, 0.5), ("CodeFormer", codeformer, body.codeformer_weight))
    return tuple(
        FaceRestoration(restorer=orders.restorer(context, name), visibility=visibility, weight=weight)
        for name, visibility, weight in asked
        if visibility > 0
    )


def _answer(context: Context, job: Job, field: str) -> dict[str, Any]:
    """Raises Refusal if the job failed or was cancelled before its pictures were there."""
    if job.state == "failed":
        raise failed(job)
    pictures = [base64.b64encode(context.check_file(Path(item.path)).read_bytes()).decode() for item in job.items]
    if not pictures:
        raise Refusal(409, "interrupted", "The enlarging was interrupted.", "Ask again.")
    return {"html_info": _told(job), field: pictures[0] if field == "image" else pictures}


def _told(job: Job) -> str:
    """A1111's paragraph about what was done, and one for each warning."""
    lines = dict.fromkeys([str(item.facts.get("postprocessing", "")) for item in job.items] + list(job.warnings))
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)
