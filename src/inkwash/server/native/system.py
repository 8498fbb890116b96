"""The machine, the log, the settings that a page may change."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from inkwash import __version__
from inkwash.core import naming, wire
from inkwash.core.choices import PICTURE_FORMATS, choose
from inkwash.server.context import Context, Here, Who

router = APIRouter(prefix="/api/v1", tags=["system"])


class Change(BaseModel):
    """Only what is named changes.  defaults: a GenerateRequest's fields that the form begins with."""

    model_config = ConfigDict(extra="forbid")
    pattern: str | None = Field(None, max_length=200)
    format: str | None = Field(None, max_length=10)
    quality: int | None = Field(None, ge=1, le=100)
    defaults: dict[str, JsonValue] | None = None


@router.get("/system")
def system(context: Here) -> dict[str, Any]:
    """The machine and how the service fares.  Sizes in bytes, times in seconds."""
    now = context.service.system()
    worker = now.worker
    return {
        "version": __version__,
        "device": worker.device,
        "dtype": worker.dtype,
        "memory": {"total": now.memory_total, "free": now.memory_free, "process": now.memory_process},
        "worker": {
            "state": worker.state,
            "pid": worker.pid,
            "model": worker.model,
            "memory": worker.memory,
            "restarts": worker.restarts,
        },
        "queue": {"queued": now.queued, "running": now.running},
        "speed": None if worker.seconds_per_step is None else {"seconds_per_step": worker.seconds_per_step},
        "uptime": now.uptime,
    }


@router.get("/system/log")
def log(context: Here, after: Annotated[int, Query(ge=0, lt=2**53)] = 0) -> dict[str, Any]:
    """The log's lines after that number, oldest first; ask again with the last one's."""
    lines = context.service.log(after)
    return {"lines": [{"number": line.number, "when": line.when, "text": line.text} for line in lines]}


@router.get("/settings")
def settings(context: Here, caller: Who) -> dict[str, Any]:
    return _told(context)


@router.patch("/settings")
def change(body: Change, context: Here, caller: Who) -> dict[str, Any]:
    """Names and formats of pictures, for jobs begun from now on, and what the form begins with."""
    wanted = {name: value for name, value in body.model_dump().items() if value is not None}
    if body.pattern is not None:
        naming.check(body.pattern)
    if body.format is not None:
        wanted["format"] = choose("format", body.format, PICTURE_FORMATS)
    if body.defaults is not None:
        wanted["defaults"] = wire.to_json(wire.from_json(body.defaults))
    context.preferences.change(wanted)
    context.service.save_as(context.preferences.saving(context.settings.pattern))
    return _told(context)


def _told(context: Context) -> dict[str, Any]:
    saving = context.preferences.saving(context.settings.pattern)
    return {
        "pattern": saving.pattern,
        "format": saving.format,
        "quality": saving.quality,
        "defaults": context.preferences.value("defaults", {}),
        "limits": asdict(context.settings.limits) | {"pictures": context.settings.server.pictures},
    }
