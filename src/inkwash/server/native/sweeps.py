"""Sweeps: one request many ways.  Here they are planned and laid out; every cell is drawn as a job of its own."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from inkwash.core import images, sheets, wire
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest
from inkwash.generation import grid
from inkwash.server import orders, sources
from inkwash.server.context import Caller, Context, Here, Who

router = APIRouter(prefix="/api/v1/sweeps", tags=["sweeps"])
LABELS = {"en": ("everything", "without “{}”"), "zh": ("全部", "去掉“{}”")}
MOST_PIXELS = 2**26  # of a sheet's pictures together; larger ones are reduced
LINES = 256  # columns, rows or sheets
Label = Annotated[str, Field(max_length=1000)]


class AxisIn(BaseModel):
    """name: A1111's, or a field's.  values: as typed: "5-20 (+5)", "Euler, Heun".  label: stands in its place beside
    the cells, as in another language."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=100)]
    values: Annotated[str, Field(max_length=20_000)]
    label: Annotated[str, Field(max_length=100)] = ""


class SweepIn(BaseModel):
    """request: as for a job.  kind "axes": of x, y and z; "matrix": of a prompt "base | option | option";
    "words": without each of its words in turn; "contact": sixteen seeds.  language: of the labels of "words"."""

    model_config = ConfigDict(extra="forbid")
    request: dict[str, JsonValue]
    kind: Literal["axes", "matrix", "words", "contact"] = "axes"
    x: AxisIn | None = None
    y: AxisIn | None = None
    z: AxisIn | None = None
    language: Literal["en", "zh"] = "en"


class SweepOut(BaseModel):
    """cells: requests to hand in as jobs, row by row, one sheet after another.  Labels are empty where there is no
    axis.  captioned: the labels of ``columns`` stand below the cells, one each, in as many columns as look well."""

    columns: list[str]
    rows: list[str]
    sheets: list[str]
    captioned: bool
    seed: int
    cells: list[dict[str, Any]]


class SheetIn(BaseModel):
    """Labels as planned.  pictures: ids of the gallery, in the order of the cells; null: not there, left empty."""

    model_config = ConfigDict(extra="forbid")
    columns: list[Label] = Field(min_length=1, max_length=LINES)
    rows: list[Label] = Field(default=[""], min_length=1, max_length=LINES)
    sheets: list[Label] = Field(default=[""], min_length=1, max_length=LINES)
    captioned: bool = False
    pictures: list[Annotated[str, Field(max_length=200)] | None] = Field(min_length=1)


@router.post("")
def plan(body: SweepIn, context: Here, caller: Who) -> SweepOut:
    """Every cell's request, checked, all of one seed; nothing is drawn yet."""
    request = wire.from_json(sources.referred(context, caller, body.request), context.blobs.find)
    seed = random.SystemRandom().randrange(2**32) if request.seed < 0 else request.seed
    base = dataclasses.replace(request, seed=seed, batch_size=1, batch_count=1)
    found = _SWEEPS[body.kind](body, base)
    if len(found.requests) > (most := context.settings.server.pictures):
        counts = " x ".join(str(len(axis)) for axis in (found.x, found.y, found.z))
        raise InvalidRequest(f"This sweep has {len(found.requests)} cells ({counts}); at most {most} are drawn here.",
                             "Take fewer values, or steps such as 1-10 (+3).")  # fmt: skip
    keep = _keeping_once(context)
    return SweepOut(
        columns=found.x.labels(),
        rows=found.y.labels(),
        sheets=found.z.labels(),
        captioned=body.kind != "axes",
        seed=seed,
        cells=[wire.to_json(orders.settle(context, cell), keep) for cell in found.requests],
    )


def _axes(body: SweepIn, base: GenerateRequest) -> grid.Sweep:
    given = {"x": body.x, "y": body.y, "z": body.z}
    if not any(given.values()):
        raise InvalidRequest("What is to vary?", 'Give x a name and values: "steps", "5-20 (+5)".', "x")
    return grid.sweep(base, *(_axis(field, one, base) for field, one in given.items()))


def _axis(field: str, given: AxisIn | None, base: GenerateRequest) -> grid.Axis:
    if given is None:
        return grid.ONE
    try:
        found = grid.axis(given.name, given.values, base)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, error.remedy, field) from None
    plain = not given.label or given.name.casefold().strip() in grid.SEARCH
    return found if plain else dataclasses.replace(found, name=given.label)


_SWEEPS: Mapping[str, Callable[[SweepIn, GenerateRequest], grid.Sweep]] = {
    "axes": _axes,
    "matrix": lambda _, base: grid.sweep(base, grid.matrix(base)),
    "words": lambda body, base: grid.sweep(base, grid.without_each_word(base, *LABELS[body.language])),
    "contact": lambda _, base: grid.sweep(base, grid.seeds(base)),
}


def _keeping_once(context: Context) -> wire.Keep:
    """Cells share their pictures; to hash each of them for every cell would take seconds."""
    known: dict[int, str] = {}

    def keep(image: Image.Image) -> str:
        if id(image) not in known:
            known[id(image)] = context.blobs.keep(image)
        return known[id(image)]

    return keep


@router.post("/sheet", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def sheet(body: SheetIn, context: Here, caller: Who) -> Response:
    """The cells on one labelled picture, a PNG; its text is the first cell's."""
    room = len(body.columns) * len(body.rows) * len(body.sheets)
    most = context.settings.server.pictures
    if len(body.pictures) != room or room > most:
        raise InvalidRequest(f"{len(body.pictures)} pictures were sent for {room} places; at most {most} are taken.",
                             "Send one for each cell, null where there is none.", "pictures")  # fmt: skip
    cells, text = _cells(body, context, caller)
    if body.captioned:
        page = sheets.captioned(cells, body.columns)
    else:
        page = sheets.plot(cells, body.columns, body.rows, body.sheets)
    headers = {"content-disposition": 'attachment; filename="sweep.png"'}
    return Response(images.encode(page, text), media_type="image/png", headers=headers)


def _cells(body: SheetIn, context: Context, caller: Caller) -> tuple[list[Image.Image], str]:
    """The pictures, reduced where they are too many pixels; what is missing is paper."""
    paths = [id and context.check_file(context.picture(id, caller).path) for id in body.pictures]
    told = [path and images.read_metadata(path) for path in paths]
    there = [one for one in told if one]
    if not there:
        raise InvalidRequest("None of the cells is drawn yet.", "Wait for the first.", "pictures")
    size = max(one.width for one in there), max(one.height for one in there)
    factor = min(1.0, (MOST_PIXELS / (size[0] * size[1] * len(paths))) ** 0.5)
    cells = []
    for path in paths:
        cell = images.load(path).convert("RGB") if path else Image.new("RGB", size, sheets.PAPER)
        if factor < 1:
            cell.thumbnail((max(1, int(size[0] * factor)), max(1, int(size[1] * factor))))
        cells.append(cell)
    return cells, there[0].infotext
