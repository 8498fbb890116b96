"""Rows of the database as jobs, items and pictures."""

from __future__ import annotations

import json
import math
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inkwash.jobs.protocol import Item, Job
from inkwash.jobs.serving import Picture
from inkwash.jobs.shelf import Shelf

SEEDS = 2**32
"""A1111's rule: a random seed lies below this."""


def new_id(now: float) -> str:
    """Unique; later ones sort behind earlier ones, to the millisecond."""
    return f"{int(now * 1000):011x}{secrets.token_hex(5)}"


def dumped(value: Any) -> str:
    """JSON as it is stored; infinity, which some requests hold, is written as Python writes it."""
    return json.dumps(value, separators=(",", ":"))


def with_seeds(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with its random seeds drawn, so that every attempt at it draws the same pictures."""
    settled = dict(request)
    if _negative(request.get("seed", -1)):
        settled["seed"] = secrets.randbelow(SEEDS)
    strength = request.get("subseed_strength", 0)
    if _negative(request.get("subseed", -1)) and isinstance(strength, int | float) and strength > 0:
        settled["subseed"] = secrets.randbelow(SEEDS)
    return settled


def _negative(seed: Any) -> bool:
    return isinstance(seed, int | float) and not math.isnan(seed) and seed < 0


def as_item(row: sqlite3.Row) -> Item:
    return Item(name=row["name"], media=row["media"], path=row["path"], facts=json.loads(row["facts"]))


def as_job(row: sqlite3.Row, items: Sequence[Item], position: int | None) -> Job:
    return Job(
        id=row["id"],
        kind=row["kind"],
        request=json.loads(row["request"]),
        user=row["user"],
        priority=row["priority"],
        origin=row["origin"],
        state=row["state"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        position=position,
        attempts=row["attempts"],
        error=row["error"],
        remedy=row["remedy"],
        items=items,
        warnings=json.loads(row["warnings"]),
        keep=not row["passing"],
        interrupted=bool(row["interrupted"]),
    )


def as_picture(row: sqlite3.Row, shelf: Shelf) -> Picture:
    """path: where the file is, the trash included."""
    path = Path(row["path"])
    trash = shelf.trashed(row["id"], path)
    return Picture(
        id=row["id"],
        path=trash if row["trashed"] and trash.exists() else path,
        thumbnail=shelf.thumbnail(row["id"]),
        width=row["width"],
        height=row["height"],
        created=row["created"],
        infotext=row["infotext"],
        prompt=row["prompt"],
        negative_prompt=row["negative_prompt"],
        seed=int(row["seed"]),
        model=row["model"],
        favourite=bool(row["favourite"]),
        trashed=bool(row["trashed"]),
        job=row["job"],
        user=row["user"],
    )
