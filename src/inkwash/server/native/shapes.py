"""Jobs and pictures as the service's own API tells them."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import BaseModel

from inkwash.jobs.protocol import PAINTED, Glimpse, Item, Job, Kind, State
from inkwash.jobs.serving import Live, Picture

API = "/api/v1"


class ProgressOut(BaseModel):
    """picture: index of the one spoken of.  fraction: of the whole job, 0..1."""

    picture: int
    pictures: int
    step: int
    steps: int
    fraction: float
    seconds_left: float | None
    stage: str


class ItemOut(BaseModel):
    """picture: its id in the gallery, for drawn ones.  facts: seed, subseed, infotext, width, height."""

    name: str
    media: str
    url: str
    thumbnail: str | None
    picture: str | None
    facts: dict[str, Any]


class JobOut(BaseModel):
    """Times are seconds since 1970.  position: jobs that go before it, while it is queued.  interrupted: by wish."""

    id: str
    kind: Kind
    state: State
    request: dict[str, Any]
    created: float
    started: float | None
    finished: float | None
    position: int | None
    attempts: int
    error: str | None
    remedy: str | None
    warnings: list[str]
    interrupted: bool
    origin: str
    items: list[ItemOut]
    progress: ProgressOut | None


class JobsOut(BaseModel):
    jobs: list[JobOut]


class PictureOut(BaseModel):
    id: str
    url: str
    thumbnail: str
    width: int
    height: int
    created: float
    infotext: str
    prompt: str
    negative_prompt: str
    seed: int
    model: str
    favourite: bool
    trashed: bool
    job: str


class PicturesOut(BaseModel):
    """total: of all that fit the question, not of this page."""

    pictures: list[PictureOut]
    total: int


def job_out(job: Job, live: Live) -> JobOut:
    glimpse = live.latest(job.id) if job.state == "running" else None
    told = _shared(job, JobOut) | {
        "items": [item_out(job, item) for item in job.items],
        "progress": None if glimpse is None else _progress(glimpse),
    }
    return JobOut(**told)


def item_out(job: Job, item: Item) -> ItemOut:
    """A drawn picture is one of the gallery, if it is kept, and its address is the gallery's."""
    picture = f"{job.id}-{item.name}" if job.kind in PAINTED and job.keep else None
    url = f"{API}/jobs/{job.id}/items/{item.name}" if picture is None else f"{API}/pictures/{picture}/file"
    small = url if picture is None else f"{API}/pictures/{picture}/thumbnail"
    return ItemOut(
        name=item.name,
        media=item.media,
        url=url,
        thumbnail=small if item.media.startswith("image/") else None,
        picture=picture,
        facts=dict(item.facts),
    )


def picture_out(picture: Picture) -> PictureOut:
    url = f"{API}/pictures/{picture.id}"
    return PictureOut(**_shared(picture, PictureOut) | {"url": f"{url}/file", "thumbnail": f"{url}/thumbnail"})


def glimpse_json(glimpse: Glimpse) -> dict[str, Any]:
    """What the event ``glimpse`` tells."""
    preview = None
    if glimpse.preview is not None:
        preview = f"data:{glimpse.media};base64,{base64.b64encode(glimpse.preview).decode()}"
    return {"job": glimpse.job, "sigma": glimpse.sigma, **_progress(glimpse).model_dump(), "preview": preview}


def _progress(glimpse: Glimpse) -> ProgressOut:
    return ProgressOut(**_shared(glimpse, ProgressOut))


def _shared(source: Job | Picture | Glimpse, shape: type[BaseModel]) -> dict[str, Any]:
    """What is told as it is: the fields that both have."""
    return {name: getattr(source, name) for name in shape.model_fields if hasattr(source, name)}
