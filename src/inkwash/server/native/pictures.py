"""The gallery."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict
from starlette.responses import FileResponse

from inkwash.server.context import Here, Who
from inkwash.server.files import handed_out
from inkwash.server.native.shapes import picture_json

router = APIRouter(prefix="/api/v1/pictures", tags=["pictures"])
MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}


class Mark(BaseModel):
    model_config = ConfigDict(extra="forbid")
    favourite: bool


@router.get("")
def pictures(
    context: Here,
    caller: Who,
    search: Annotated[str, Query(max_length=1000)] = "",
    favourite: bool = False,
    trashed: bool = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[str | None, Query(max_length=200)] = None,
) -> dict[str, Any]:
    """Newest first.  search: words that all occur in the picture's text.  before: the id that a page continues after.

    Without accounts the gallery is everybody's.
    """
    page = context.service.pictures.list(
        search=search, favourite=favourite, trashed=trashed, user=caller.account, limit=limit, before=before
    )
    return {"pictures": [picture_json(picture) for picture in page.pictures], "total": page.total}


@router.get("/{picture}")
def picture(picture: str, context: Here, caller: Who) -> dict[str, Any]:
    return picture_json(context.picture(picture, caller))


@router.get("/{picture}/file", response_class=FileResponse)
def file(picture: str, context: Here, caller: Who, download: bool = False) -> Response:
    found = context.picture(picture, caller)
    media = MEDIA.get(found.path.suffix.lower(), "application/octet-stream")
    return handed_out(context, found.path, media, download=download)


@router.get("/{picture}/thumbnail", response_class=FileResponse)
def thumbnail(picture: str, context: Here, caller: Who) -> Response:
    """WebP, at most 384 pixels a side."""
    return handed_out(context, context.picture(picture, caller).thumbnail, "image/webp")


@router.patch("/{picture}")
def mark(picture: str, body: Mark, context: Here, caller: Who) -> dict[str, Any]:
    found = context.picture(picture, caller)
    return picture_json(context.service.pictures.mark(found.id, body.favourite))


@router.delete("/{picture}")
def trash(picture: str, context: Here, caller: Who) -> dict[str, Any]:
    """Into the trash, from which it can be restored."""
    found = context.picture(picture, caller)
    return picture_json(context.service.pictures.trash(found.id))


@router.post("/{picture}/restore")
def restore(picture: str, context: Here, caller: Who) -> dict[str, Any]:
    found = context.picture(picture, caller)
    return picture_json(context.service.pictures.restore(found.id))
