"""Models, VAEs and learned upscalers: list, look at, load."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from inkwash.checkpoint.beside import PICTURES
from inkwash.checkpoint.describe import describe as describe_file
from inkwash.checkpoint.wellknown import WELL_KNOWN, WellKnown
from inkwash.core.errors import ModelNotFound
from inkwash.server.context import Context, Here, Who
from inkwash.server.errors import Refusal
from inkwash.server.models import Described, describe, described, is_picture
from inkwash.server.turnstile import step_aside

router = APIRouter(prefix="/api/v1/models", tags=["models"])
LONGEST = 2000  # characters of one value of a file's metadata


PURPOSES = {5: "depth", 9: "inpainting"}
"""What a U-Net of so many channels draws over, beside noise."""


class Load(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=1000)]


@router.get("")
def models(context: Here) -> dict[str, Any]:
    """What can be drawn with; folders are read anew every time.  suggestions: where to get others."""
    current = context.service.system().worker.model
    return {
        "models": [_told(one, current) for one in described(context)],
        "vaes": [{"name": entry.name, "title": entry.title} for entry in context.catalog.entries("vae")],
        "upscalers": [entry.name for entry in context.catalog.entries("upscaler")],
        "face_restorers": [entry.name for entry in context.catalog.entries("face restorer")],
        "suggestions": [_suggestion(one) for one in WELL_KNOWN],
    }


@router.post("/refresh")
def refresh(context: Here) -> dict[str, Any]:
    """The list, with the hashes of all small files known."""
    return models(context)


@router.post("/load", status_code=202)
def load(body: Load, context: Here, caller: Who) -> dict[str, Any]:
    """Have the worker load a model as soon as nothing is drawn, so that the next picture starts sooner."""
    entry = context.catalog.find(_sane(body.name))
    context.service.load(entry.relative)
    return {"name": entry.name, "title": entry.title}


@router.get("/picture", response_class=FileResponse)
def picture(name: Annotated[str, Query(max_length=1000)], context: Here) -> FileResponse:
    """The picture beside a model, if it has one; what is no picture by its own bytes is not handed out."""
    found = context.catalog.picture(context.catalog.find(_sane(name)))
    if found is None or not is_picture(found):
        raise Refusal(404, "no_picture", "There is no picture beside this model.", "Put NAME.png beside NAME.")
    return FileResponse(found, media_type=PICTURES[found.suffix.lower()])


@router.get("/{name:path}")
async def model(name: str, request: Request, context: Here) -> dict[str, Any]:
    """One model in detail; its hash is computed if it is not known (about 2 s a GB)."""
    step_aside(request.scope)
    return await run_in_threadpool(_detailed, context, name)


def _detailed(context: Context, name: str) -> dict[str, Any]:
    """All a file tells of itself and what lies beside it; never where it is."""
    found = describe(context.catalog, context.catalog.with_hash(context.catalog.find(_sane(name))))
    answer = _told(found, context.service.system().worker.model)
    if found.spec is not None:
        spec = asdict(found.spec)
        answer["details"] = {key: value for key, value in spec.items() if key not in ("path", "name", "note")}
    told, beside = describe_file(found.entry.path, context.catalog.hashes), context.catalog.beside(found.entry)
    kept = {key: told[key] for key in ("tensors", "dtypes", "hashes", "tags")}
    metadata = {key: value[:LONGEST] for key, value in told["metadata"].items() if key != "ss_tag_frequency"}
    return answer | kept | {"metadata": metadata, "description": beside.note, "words": list(beside.words)}


def _told(one: Described, current: str | None) -> dict[str, Any]:
    spec, picture = one.spec, f"api/v1/models/picture?{urlencode({'name': one.entry.title})}"
    return {
        "title": one.entry.title,
        "name": one.entry.name,
        "hash": one.hash,
        "sha256": one.entry.sha256,
        "family": spec.family if spec else None,
        "purpose": PURPOSES.get(spec.unet.in_channels) if spec else None,
        "native_size": spec.native_size if spec else None,
        "dtype": spec.dtype if spec else None,
        "prediction": spec.prediction if spec else None,
        "unsure": spec.unsure if spec else False,
        "has_ema": spec.has_ema if spec else False,
        "size": one.size,
        "folder": one.entry.path.is_dir(),
        "picture": picture if one.picture else None,
        "current": one.entry.name == current,
        "box": one.box,
        "note": one.note,
        "usable": spec is not None,
    }


def _suggestion(one: WellKnown) -> dict[str, Any]:
    return {
        "name": one.name, "what": {"en": one.what.en, "zh": one.what.zh}, "url": one.url, "kind": one.kind,
        "family": one.family, "gigabytes": one.gigabytes, "licence": one.licence,
        "command": f"./inkwash models pull {one.name}",
    }  # fmt: skip


def _sane(name: str) -> str:
    if "\0" in name or not name:
        raise ModelNotFound("No model has such a name.", "List them with GET /api/v1/models.")
    return name
