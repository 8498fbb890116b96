"""Models, VAEs and learned upscalers: list, look at, load."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from inkwash.core.errors import ModelNotFound
from inkwash.server.context import Context, Here, Who
from inkwash.server.models import SUGGESTIONS, Described, describe, described
from inkwash.server.turnstile import step_aside

router = APIRouter(prefix="/api/v1/models", tags=["models"])


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
        "suggestions": [
            {"name": one.name, "what": {"en": one.what.en, "zh": one.what.zh}, "url": one.url} for one in SUGGESTIONS
        ],
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


@router.get("/{name:path}")
async def model(name: str, request: Request, context: Here) -> dict[str, Any]:
    """One model in detail; its hash is computed if it is not known (about 2 s a GB)."""
    step_aside(request.scope)
    return await run_in_threadpool(_detailed, context, name)


def _detailed(context: Context, name: str) -> dict[str, Any]:
    found = describe(context, context.catalog.with_hash(context.catalog.find(_sane(name))))
    answer = _told(found, context.service.system().worker.model)
    if found.spec is not None:
        spec = asdict(found.spec)
        answer["details"] = {key: value for key, value in spec.items() if key not in ("path", "name", "note")}
    return answer


def _told(one: Described, current: str | None) -> dict[str, Any]:
    return {
        "title": one.entry.title,
        "name": one.entry.name,
        "hash": one.hash,
        "sha256": one.entry.sha256,
        "family": one.spec.family if one.spec else None,
        "native_size": one.spec.native_size if one.spec else None,
        "size": one.size,
        "current": one.entry.name == current,
        "box": one.box,
        "note": one.note,
        "usable": one.spec is not None,
    }


def _sane(name: str) -> str:
    if "\0" in name or not name:
        raise ModelNotFound("No model has such a name.", "List them with GET /api/v1/models.")
    return name
