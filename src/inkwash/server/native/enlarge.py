"""From small to large: the passes of it, planned and told before anything is drawn."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from inkwash.checkpoint.spec import ModelSpec
from inkwash.checkpoint.upscalers import best_upscaler
from inkwash.core import wire
from inkwash.core.choices import PICTURE_UPSCALERS, choose
from inkwash.core.errors import InvalidRequest, ModelNotFound
from inkwash.core.request import GenerateRequest
from inkwash.core.resizing import Size
from inkwash.generation.enlarging import ROADS, Pass, Target, check_side, plan_enlarging, request_of, total_scale
from inkwash.server import orders
from inkwash.server.context import Context, Here, Who
from inkwash.server.models import describe

router = APIRouter(prefix="/api/v1/enlarge", tags=["enlarge"])
BYTES = {"float16": 2, "bfloat16": 2}
OVER = ("prompt", "negative_prompt", "model", "seed", "steps", "sampler", "cfg_scale")
Name = Annotated[str, Field(max_length=1000)]


class PlanIn(BaseModel):
    """Of a picture of width x height pixels whose text is ``infotext``.

    to: pixels of the longer side; scale: times the size, instead; 2 without either.  upscaler: null: the best there
    is.  redraw: false: only enlarged.  prompt: of every tile; null: the words of quality of the picture's own, all of
    it with whole_prompt.  Of model, seed and what follows null is what the picture says.  tile, overlap: pixels."""

    model_config = ConfigDict(extra="forbid")
    width: int = Field(ge=1, le=2**16)
    height: int = Field(ge=1, le=2**16)
    infotext: str = Field("", max_length=1_000_000)
    to: int | None = Field(None, ge=1, le=2**16)
    scale: float | None = Field(None, gt=0, le=1000)
    upscaler: Name | None = None
    redraw: bool = True
    strength: float = Field(0.35, gt=0, le=1)
    keep_structure: float = Field(0.75, ge=0, le=1)
    noise_inversion: bool = True
    road: Name | None = None
    tile: int | None = None
    overlap: int | None = None
    prompt: str | None = None
    whole_prompt: bool = False
    negative_prompt: str | None = None
    model: Name | None = None
    seed: int | None = None
    steps: int | None = None
    sampler: Name | None = None
    cfg_scale: float | None = None


class PassOut(BaseModel):
    """kind, request: of the job that makes it; its picture is still to be put in: ``init_image`` of "generate",
    ``image`` of "extras".  memory: bytes beside the weights, by estimate."""

    kind: Literal["generate", "extras"]
    width: int
    height: int
    upscaler: str
    road: str | None = None
    tiles: int | None = None
    strength: float | None = None
    memory: int | None = None
    request: dict[str, Any]


class PlanOut(BaseModel):
    """passes: each from the picture of the one before.  prompt: of every tile.  free: bytes that may be taken."""

    passes: list[PassOut]
    prompt: str
    negative_prompt: str
    model: str
    free: int


@dataclass(frozen=True)
class Kind:
    """What is known of the worker's numbers without torch."""

    itemsize: int


@router.post("/plan")
def plan(body: PlanIn, context: Here, caller: Who) -> PlanOut:
    """What would be done; nothing is drawn."""
    if body.to is not None and body.scale is not None:
        raise InvalidRequest("Both to and scale say how large.", "Give one of them.", "scale")
    if not body.redraw:
        return _only_enlarged(context, body)
    base, spec = _base(context, body)
    target, free = _target(context, body, _upscaler(context, body, spec.path)), _free(context)
    kind = Kind(BYTES.get(context.service.system().worker.dtype or "", 4))
    size = body.width, body.height
    found = plan_enlarging(base, size, target, spec, kind, free, context.settings.limits.side)
    before = [size, *(one.size for one in found)]
    return PlanOut(
        passes=[_drawn(context, one, earlier) for one, earlier in zip(found, before, strict=False)],
        prompt=base.prompt,
        negative_prompt=base.negative_prompt,
        model=spec.name,
        free=free,
    )


def _base(context: Context, body: PlanIn) -> tuple[GenerateRequest, ModelSpec]:
    """What is drawn with, and the model it names.  Raises InvalidRequest, ModelNotFound."""
    known = request_of(body.infotext, whole_prompt=body.whole_prompt)
    over = {name: value for name in OVER if (value := getattr(body, name)) is not None}
    given = {"denoising_strength": body.strength, "keep_structure": body.keep_structure}
    base = dataclasses.replace(known, **over | given)
    entry = context.catalog.find(base.model)
    found = describe(context.catalog, entry, save=False)
    if found.spec is None:
        raise InvalidRequest(f"{entry.name} cannot be drawn with: {found.note}", "Choose another model.", "model")
    return dataclasses.replace(base, model=entry.relative), found.spec


def _target(context: Context, body: PlanIn, upscaler: str) -> Target:
    return Target(
        to=body.to,
        scale=body.scale,
        upscaler=upscaler,
        road=None if body.road is None else choose("road", body.road, ROADS),
        tile=body.tile,
        overlap=body.overlap,
        noise_inversion=body.noise_inversion,
    )


def _upscaler(context: Context, body: PlanIn, model: Path) -> str:
    if body.upscaler is None:
        return best_upscaler(context.catalog, model)
    return orders.upscaler(context, body.upscaler, PICTURE_UPSCALERS)


def _drawn(context: Context, one: Pass, before: Size) -> PassOut:
    """Checked as it will be when the picture is there.  before: pixels of the picture that it enlarges."""
    settled = orders.settle(context, one.over(Image.new("1", before)))
    return PassOut(
        kind="generate",
        width=one.size[0],
        height=one.size[1],
        upscaler=one.upscaler,
        road=one.road,
        tiles=one.tiles,
        strength=one.request.denoising_strength,
        memory=one.memory,
        request=wire.to_json(dataclasses.replace(settled, init_image=None)),
    )


def _only_enlarged(context: Context, body: PlanIn) -> PlanOut:
    """Whether there is the model that drew the picture does not matter here."""
    known = request_of(body.infotext, whole_prompt=body.whole_prompt)
    try:
        model = context.catalog.find(body.model or known.model)
    except ModelNotFound:
        model = context.catalog.find(None)
    upscaler, size = _upscaler(context, body, model.path), (body.width, body.height)
    scale = total_scale(size, _target(context, body, upscaler))
    width, height = (max(1, round(side * scale)) for side in size)
    check_side((width, height), context.settings.limits.side)
    request = {"upscaler": upscaler, "width": width, "height": height}
    one = PassOut(kind="extras", width=width, height=height, upscaler=upscaler, request=request)
    return PlanOut(passes=[one], prompt="", negative_prompt="", model="", free=_free(context))


def _free(context: Context) -> int:
    """Bytes that the worker may still take, on the device it computes on."""
    now, limit = context.service.system(), int(context.settings.memory.limit * 1e9)
    free, held = now.memory_free, now.worker.memory
    if now.worker.gpu_free is not None and now.worker.gpu_total is not None:
        free, held = now.worker.gpu_free, now.worker.gpu_total - now.worker.gpu_free
    return max(0, min(free, limit - held)) if limit else free
