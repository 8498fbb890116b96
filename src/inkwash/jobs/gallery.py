"""The gallery: finished pictures, found by their words, marked, thrown away and taken back."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from inkwash.core import files
from inkwash.jobs.database import Database
from inkwash.jobs.records import as_picture
from inkwash.jobs.serving import Page, Picture, PictureNotFound
from inkwash.jobs.shelf import Shelf, is_of, move

NEWEST = 2**62
"""Above every seq."""


class Gallery:
    """Implements ``Pictures`` on the database."""

    def __init__(self, database: Database, shelf: Shelf) -> None:
        self.database = database
        self.shelf = shelf

    def get(self, picture: str) -> Picture:
        with self.database.reading() as db:
            return as_picture(_found(db, picture), self.shelf)

    def list(
        self, *, search: str = "", favourite: bool = False, trashed: bool = False, user: str | None = None,
        limit: int = 100, before: str | None = None,
    ) -> Page:  # fmt: skip
        where, values = _where(search, favourite, trashed, user)
        with self.database.reading() as db:
            total = db.execute(f"SELECT count(*) FROM pictures WHERE {where}", values).fetchone()[0]
            start = _found(db, before)["seq"] if before else NEWEST
            rows = db.execute(
                f"SELECT * FROM pictures WHERE {where} AND seq < ? ORDER BY seq DESC LIMIT ?", (*values, start, limit)
            ).fetchall()
        return Page(pictures=[as_picture(row, self.shelf) for row in rows], total=total)

    def mark(self, picture: str, favourite: bool) -> Picture:
        return self._set(picture, "favourite", favourite)

    def trash(self, picture: str) -> Picture:
        """A crash half-way leaves the picture trashed with its file where it was, which ``get`` finds."""
        row = self._set(picture, "trashed", True)
        target = self.shelf.trashed(picture, row.path)
        if row.path != target and row.path.exists():
            move(row.path, target)
        return self.get(picture)

    def restore(self, picture: str) -> Picture:
        with self.database.reading() as db:
            row = _found(db, picture)
            here = as_picture(row, self.shelf).path
            home = Path(row["path"])
        if here != home:
            if home.exists() and not is_of(home, row["infotext"]):
                raise files.CannotWrite(f"{home} is another file by now.", "Move that file, then restore again.")
            move(here, home)
        return self._set(picture, "trashed", False)

    def _set(self, picture: str, column: str, value: bool) -> Picture:
        with self.database.writing() as db:
            _found(db, picture)
            db.execute(f"UPDATE pictures SET {column} = ? WHERE id = ?", (value, picture))
        return self.get(picture)


def _where(search: str, favourite: bool, trashed: bool, user: str | None) -> tuple[str, list[Any]]:
    """An SQL condition and its values."""
    words = search.casefold().split()
    parts = ["trashed = ?", *["instr(words, ?)"] * len(words)]
    values: list[Any] = [trashed, *words]
    if favourite:
        parts.append("favourite = 1")
    if user is not None:
        parts.append("user = ?")
        values.append(user)
    return " AND ".join(parts), values


def _found(db: sqlite3.Connection, picture: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM pictures WHERE id = ?", (picture,)).fetchone()
    if row is None:
        raise PictureNotFound(f"There is no picture {picture!r}.", "It may have been removed; look at the gallery.")
    return row
