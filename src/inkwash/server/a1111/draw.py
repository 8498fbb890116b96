"""txt2img and img2img, and the tasks that later versions bring: routed, validated, answered honestly."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from inkwash.core.request import GenerateRequest
from inkwash.jobs.protocol import Job, NewJob
from inkwash.server import orders, sources, uploads
from inkwash.server.a1111 import edits, scripts, tiles, translate
from inkwash.server.a1111.answers import answer
from inkwash.server.a1111.calls import Call
from inkwash.server.a1111.schema import (
    Detect,
    Img2Img,
    Interrogate,
    PngInfo,
    Poses,
    Training,
    Txt2Img,
)
from inkwash.server.a1111.series import Outcome, carried_out, each
from inkwash.server.answers import Json
from inkwash.server.context import Caller, Context, Here, Who
from inkwash.server.errors import Refusal
from inkwash.server.waiting import Gone

router = APIRouter(tags=["A1111"])
API = "/sdapi/v1"


@router.post(f"{API}/txt2img")
async def txt2img(body: Txt2Img, request: Request, context: Here, caller: Who) -> Response:
    """Draw; answers when the pictures are there.  If the client leaves, the job is cancelled within a step."""
    return await _answered(body, request, context, caller)


@router.post(f"{API}/img2img")
async def img2img(body: Img2Img, request: Request, context: Here, caller: Who) -> Response:
    """Likewise, from a picture; with a mask, a part of it anew."""
    if not body.init_images:
        raise Refusal(404, "no_init_images", "Init image not found.", "Send init_images.", field="init_images")
    return await _answered(body, request, context, caller)


async def _answered(body: Txt2Img | Img2Img, request: Request, context: Context, caller: Caller) -> Response:
    plan, total = await run_in_threadpool(_planned, context, caller, body)
    call = Call(partial(_submit, context, caller, body), total)
    try:
        outcome = await carried_out(context, request, call, plan)
    except Gone:
        return Response(status_code=499)
    return Json(await run_in_threadpool(_told, context, body, call, outcome))


@router.post(f"{API}/png-info")
def png_info(body: PngInfo, context: Here) -> dict[str, Any]:
    """The text a picture carries; "" if it has none."""
    serving = context.settings.server
    data = uploads.picture_bytes(body.image, urls=serving.allow_image_urls, limit=serving.body_mb * 2**20)
    found = uploads.metadata(data)
    parsed = _parsed(found.infotext)
    return {"info": found.infotext, "items": {"parameters": found.infotext, **found.texts}, "parameters": parsed}


@router.post(f"{API}/interrogate")
def interrogate(body: Interrogate) -> None:
    if not body.image:
        raise Refusal(404, "no_image", "Image not found.", "Send a picture in base64.", field="image")
    raise translate.not_yet("interrogate")


@router.post(f"{API}/create/embedding")
@router.post(f"{API}/create/hypernetwork")
@router.post(f"{API}/train/embedding")
@router.post(f"{API}/train/hypernetwork")
def training(body: Training) -> None:
    raise translate.not_yet("Training over this API")


@router.post("/controlnet/detect")
def detect(body: Detect) -> None:
    raise translate.not_yet("controlnet/detect")


@router.post("/controlnet/render_openpose_json")
def render_openpose(body: list[Poses] | Poses) -> None:
    raise translate.not_yet("controlnet/render_openpose_json")


def _planned(context: Context, caller: Caller, body: Txt2Img | Img2Img) -> scripts.Planned:
    """Everything is checked before the first job is handed in."""
    opened = partial(sources.uploaded, context)
    upscalers = tiles.upscalers(context.catalog)
    drawn = translate.request(body, context.options.of(caller.user), opened, upscalers)
    if not body.override_settings_restore_afterwards and body.override_settings:
        context.options.set(caller.user, body.override_settings)
    if body.script_name:
        tab = "img2img" if isinstance(body, Img2Img) else "txt2img"
        return scripts.planned(body.script_name, body.script_args, tab, drawn, upscalers)
    requests = edits.batch(body, drawn, opened) if isinstance(body, Img2Img) else [drawn]
    return each(requests), len(requests)


def _submit(context: Context, caller: Caller, body: Txt2Img | Img2Img, request: GenerateRequest) -> Job:
    job = context.service.desk.submit(
        NewJob(
            kind="generate", request=orders.as_json(context, request), user=caller.user, origin="a1111",
            keep=body.save_images and not body.do_not_save_samples,
        )
    )  # fmt: skip
    if body.force_task_id:
        context.tasks.put(caller.user, body.force_task_id, job.id)
    return job


def _told(context: Context, body: Txt2Img | Img2Img, call: Call, outcome: Outcome) -> dict[str, Any]:
    """The answer; pictures that are not to be saved are gone with it."""
    assert call.first is not None  # a plan asks for something
    told = answer(context, body, call.first, outcome)
    for job in {piece.job.id for piece in outcome.pieces}:
        context.service.desk.discard(job)
    return told


def _parsed(text: str) -> dict[str, Any]:
    from inkwash.core import infotext

    return dict(infotext.parse(text)) if text else {}
