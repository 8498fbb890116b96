"""POST /v1/images/edits and /v1/images/variations in OpenAI's shape: a picture drawn over, where a mask has holes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from PIL import Image
from starlette.concurrency import run_in_threadpool

from inkwash.core.errors import InvalidRequest
from inkwash.core.masks import alpha_mask
from inkwash.core.request import GenerateRequest
from inkwash.server import uploads
from inkwash.server.context import Context, Here, Who
from inkwash.server.openai import Format, answered, model_of, size_of

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What both routes take beside pictures and words."""

    model: str | None
    n: int | None
    size: str | None
    response_format: Format | None


async def _wanted(
    model: Annotated[str | None, Form(max_length=1000)] = None,
    n: Annotated[int | None, Form(ge=1, le=10)] = 1,
    size: Annotated[str | None, Form(max_length=20)] = "auto",
    response_format: Annotated[Format | None, Form()] = "url",
) -> Wanted:
    return Wanted(model, n, size, response_format)


Fields = Annotated[Wanted, Depends(_wanted)]


@router.post("/images/edits")
async def edits(
    request: Request,
    context: Here,
    caller: Who,
    wanted: Fields,
    prompt: Annotated[str, Form()],
    image: Annotated[list[UploadFile] | None, File()] = None,
    images: Annotated[list[UploadFile] | None, File(alias="image[]")] = None,
    mask: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Redraw the picture where the mask, or else the picture itself, is transparent; all of it if nothing is.

    size: the picture's own unless it is given.  Fields of OpenAI's that mean nothing here (quality, ...) are ignored.
    """
    source = await _opened(context, _only([*(image or ()), *(images or ())]))
    holes = await _opened(context, mask) if mask is not None else source
    drawn = await run_in_threadpool(_edit, source, holes, mask is not None)
    drawn = dataclasses.replace(drawn, prompt=prompt)
    return await answered(_sized(drawn, wanted), request, context, caller, wanted.response_format)


@router.post("/images/variations")
async def variations(
    request: Request, context: Here, caller: Who, wanted: Fields, image: Annotated[UploadFile, File()]
) -> Response:
    """Draw ``n`` pictures over this one, without words."""
    drawn = _sized(GenerateRequest(init_image=await _opened(context, image)), wanted)
    return await answered(drawn, request, context, caller, wanted.response_format)


def _edit(source: Image.Image, holes: Image.Image, given: bool) -> GenerateRequest:
    """given: whether a mask was sent.  What is redrawn keeps nothing of what was there, as with OpenAI."""
    mask = alpha_mask(holes)
    if mask.getbbox() is None:
        if given:
            message = "The mask has no transparent part, so there is nothing to redraw."
            raise InvalidRequest(message, "Rub out what is to change.", "mask")
        return GenerateRequest(init_image=source)
    return GenerateRequest(init_image=source, mask=mask, denoising_strength=1.0, inpainting_fill="fill")


def _sized(drawn: GenerateRequest, wanted: Wanted) -> GenerateRequest:
    width, height = size_of(wanted.size)
    return dataclasses.replace(
        drawn,
        model=model_of(wanted.model),
        width=width,
        height=height,
        resize_mode="crop and resize",
        batch_count=wanted.n or 1,
    )


def _only(pictures: Sequence[UploadFile]) -> UploadFile:
    if len(pictures) != 1:
        raise InvalidRequest(f"{len(pictures)} pictures were sent; one is edited at a time.", "Send one.", "image")
    return pictures[0]


async def _opened(context: Context, file: UploadFile) -> Image.Image:
    """Raises DamagedFile for what is no picture, or one of too many pixels."""
    data = await file.read()
    return await run_in_threadpool(uploads.picture, data, context.settings.limits.side)
