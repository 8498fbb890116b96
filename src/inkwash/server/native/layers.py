"""Layered pictures to and from OpenRaster files; the layers themselves live where they are edited, in the browser."""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from inkwash.core import images
from inkwash.core.errors import DamagedFile, InvalidRequest
from inkwash.core.layers import Layer, Layers, encode, load_of
from inkwash.server import uploads
from inkwash.server.context import Context, Here, Who

router = APIRouter(prefix="/api/v1/layers", tags=["layers"])
MOST, NAME = 200, 1000
FAR = 2**15
Side = Annotated[int, Field(ge=1, le=FAR)]
Place = Annotated[int, Field(ge=-FAR, le=FAR)]


class LayerIO(BaseModel):
    """image: base64 or a data URI.  x, y: of its upper left corner.  recipe: the text it was drawn from."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=NAME)] = ""
    image: str
    x: Place = 0
    y: Place = 0
    visible: bool = True
    opacity: float = Field(1.0, ge=0, le=1)
    recipe: Annotated[str, Field(max_length=1_000_000)] = ""


class LayersIO(BaseModel):
    """layers: the lowest first."""

    model_config = ConfigDict(extra="forbid")
    width: Side
    height: Side
    layers: list[LayerIO] = Field(min_length=1, max_length=MOST)


@router.post(
    "/file",
    response_class=Response,
    responses={200: {"content": {"image/openraster": {}, "image/png": {}}}},
)
def file(body: LayersIO, context: Here, caller: Who, format: Literal["ora", "png"] = "ora") -> Response:
    """An OpenRaster file for Krita, GIMP and others; or, flattened, a PNG with the uppermost recipe as its text."""
    document = _read(body, context)
    headers = {"content-disposition": f'attachment; filename="layers.{format}"'}
    if format == "ora":
        return Response(encode(document), media_type="image/openraster", headers=headers)
    texts = [layer.recipe for layer in document.layers if layer.visible and layer.recipe]
    data = images.encode(document.flattened(), texts[-1] if texts else "")
    return Response(data, media_type="image/png", headers=headers)


@router.post(
    "/read",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def read(request: Request, context: Here, caller: Who) -> LayersIO:
    """The layers of an OpenRaster file's bytes."""
    body = await request.body()
    return await run_in_threadpool(_opened, body)


def _read(body: LayersIO, context: Context) -> Layers:
    """Raises InvalidRequest, DamagedFile."""
    left = uploads.MAX_PIXELS - body.width * body.height
    found = []
    for layer in body.layers:
        data = uploads.picture_bytes(layer.image, urls=False, limit=0)
        told = uploads.metadata(data)
        left -= told.width * told.height
        if left < 0:
            raise InvalidRequest(f"The layers have more than {uploads.MAX_PIXELS} pixels.",
                                 "Revert some, or flatten the picture first.", "layers")  # fmt: skip
        image = uploads.picture(data, context.settings.limits.side).convert("RGBA")
        found.append(Layer(layer.name, image, layer.x, layer.y, layer.visible, layer.opacity, layer.recipe))
    return Layers((body.width, body.height), tuple(found))


def _opened(data: bytes) -> LayersIO:
    """Raises DamagedFile, also for what is readable but beyond what is taken here."""
    document = load_of(data, uploads.MAX_PIXELS)
    try:
        layers = [
            LayerIO(
                name=layer.name[:NAME], image=_uri(layer.image), x=layer.x, y=layer.y, visible=layer.visible,
                opacity=layer.opacity, recipe=layer.recipe,
            )
            for layer in document.layers
        ]  # fmt: skip
        return LayersIO(width=document.size[0], height=document.size[1], layers=layers)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise DamagedFile(f"The file is beyond what is read here: {where}: {error.errors()[0]['msg']}.",
                          "Open it in an editor and save it with fewer layers, or flattened.") from None  # fmt: skip


def _uri(image: Image.Image) -> str:
    return f"data:image/png;base64,{base64.b64encode(images.encode(image)).decode()}"
