"""Jobs and pictures as the service's own API tells them."""

from __future__ import annotations

import base64
from typing import Any

from inkwash.jobs.protocol import Glimpse, Item, Job
from inkwash.jobs.serving import Live, Picture

API = "/api/v1"


def job_json(job: Job, live: Live) -> dict[str, Any]:
    glimpse = live.latest(job.id) if job.state == "running" else None
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "request": dict(job.request),
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "position": job.position,
        "attempts": job.attempts,
        "error": job.error,
        "remedy": job.remedy,
        "warnings": list(job.warnings),
        "origin": job.origin,
        "items": [item_json(job, item) for item in job.items],
        "progress": None if glimpse is None else _progress(glimpse),
    }


def item_json(job: Job, item: Item) -> dict[str, Any]:
    """A drawn picture is one of the gallery, and its address is the gallery's."""
    picture = f"{job.id}-{item.name}" if job.kind == "generate" else None
    url = f"{API}/jobs/{job.id}/items/{item.name}" if picture is None else f"{API}/pictures/{picture}/file"
    thumbnail = None if picture is None else f"{API}/pictures/{picture}/thumbnail"
    return {
        "name": item.name,
        "media": item.media,
        "url": url,
        "thumbnail": thumbnail or (url if item.media.startswith("image/") else None),
        "picture": picture,
        "facts": dict(item.facts),
    }


def picture_json(picture: Picture) -> dict[str, Any]:
    url = f"{API}/pictures/{picture.id}"
    return {
        "id": picture.id,
        "url": f"{url}/file",
        "thumbnail": f"{url}/thumbnail",
        "width": picture.width,
        "height": picture.height,
        "created": picture.created,
        "infotext": picture.infotext,
        "prompt": picture.prompt,
        "negative_prompt": picture.negative_prompt,
        "seed": picture.seed,
        "model": picture.model,
        "favourite": picture.favourite,
        "trashed": picture.trashed,
        "job": picture.job,
    }


def glimpse_json(glimpse: Glimpse) -> dict[str, Any]:
    return {
        "job": glimpse.job,
        "sigma": glimpse.sigma,
        **_progress(glimpse),
        "preview": None if glimpse.preview is None else data_uri(glimpse.preview, glimpse.media),
    }


def data_uri(data: bytes, media: str) -> str:
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def _progress(glimpse: Glimpse) -> dict[str, Any]:
    return {
        "picture": glimpse.picture,
        "pictures": glimpse.pictures,
        "step": glimpse.step,
        "steps": glimpse.steps,
        "fraction": glimpse.fraction,
        "seconds_left": glimpse.seconds_left,
        "stage": glimpse.stage,
    }
