"""Orders to enlarge a picture, or restore its faces, without redrawing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inkwash.core import extras
from inkwash.core.choices import LANCZOS, PICTURE_UPSCALERS
from inkwash.core.errors import InvalidRequest
from inkwash.core.extras import Extras, FaceRestoration
from inkwash.core.limits import face_restorer
from inkwash.server import orders, sources
from inkwash.server.context import Caller, Context


class Enlarging(BaseModel):
    """image: base64, a data URI, or the gallery's id.  width, height: of the result, in pixels.

    upscaler: "None" for a picture that stays as large as it is.  restore_faces: a face restorer, for the enlarged
    picture; null: none.
    """

    model_config = ConfigDict(extra="forbid")
    image: str
    upscaler: str = Field(LANCZOS, max_length=1000)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    restore_faces: str | None = Field(None, max_length=1000)
    face_visibility: float = Field(1.0, ge=0, le=1)
    codeformer_weight: float = Field(0.5, ge=0, le=1)


def settled(context: Context, caller: Caller, values: Mapping[str, Any]) -> dict[str, Any]:
    """The job's JSON, checked.  Raises InvalidRequest, DamagedFile."""
    try:
        asked = Enlarging.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"{field}: {first['msg']}.", "Send image, upscaler, width and height.", field) from None
    image, text = sources.with_text(context, caller, asked.image)
    wanted = Extras(
        images=(image,),
        infotexts=(text,),
        upscaler=orders.upscaler(context, asked.upscaler, (extras.NONE, *PICTURE_UPSCALERS)),
        size=(asked.width, asked.height),
        faces=_faces(context, asked),
    )
    return extras.to_json(extras.check(wanted, context.settings.limits), context.blobs.keep)


def _faces(context: Context, asked: Enlarging) -> tuple[FaceRestoration, ...]:
    name = face_restorer(asked.restore_faces)
    if name is None:
        return ()
    restorer = orders.restorer(context, name)
    wanted = FaceRestoration(restorer=restorer, visibility=asked.face_visibility, weight=asked.codeformer_weight)
    return (wanted,)
