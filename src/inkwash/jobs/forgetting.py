"""What of ended jobs is forgotten, and when; pictures of the gallery stay."""

from __future__ import annotations

import re

from inkwash.core.blobs import Blobs
from inkwash.jobs.database import Database
from inkwash.jobs.shelf import Shelf

ENDED = ("done", "failed", "cancelled")
REMEMBERED = {"explain": 200, "extras": 20}
"""Ended jobs of the kinds whose results are no pictures of the gallery: an explanation has some fifty files, an
enlarging large ones, and they go with their job."""

DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
"""How requests and pictures' texts name the pictures they were made from."""


def forget(database: Database, shelf: Shelf, history: int, retention: float, now: float) -> None:
    """Forget ended jobs beyond ``history``, whose pictures stay; those whose files go with them, sooner; and jobs
    whose pictures nobody keeps after ``retention``.  Remove sources that nothing needs any more.
    """
    with database.writing() as db:
        rows = [
            row
            for kind, kept in ((None, history), *REMEMBERED.items())
            for row in db.execute(
                f"SELECT seq, id FROM jobs WHERE state IN {ENDED} AND kind = coalesce(?, kind)"
                " ORDER BY seq DESC LIMIT -1 OFFSET ?",
                (kind, kept),
            ).fetchall()
        ]
        rows += db.execute(
            f"SELECT seq, id FROM jobs WHERE state IN {ENDED} AND passing AND finished < ?",
            (now - retention,),
        ).fetchall()
        for row in rows:
            db.execute("DELETE FROM items WHERE job = ?", (row["id"],))
            db.execute("DELETE FROM jobs WHERE seq = ?", (row["seq"],))
        db.execute("DELETE FROM turns WHERE user NOT IN (SELECT user FROM jobs)")
    for row in rows:
        shelf.forget_items(row["id"])
    _forget_sources(database, shelf, now - retention)


def _forget_sources(database: Database, shelf: Shelf, before: float) -> None:
    """Looks at what is needed only if something could go."""
    old = Blobs.of(shelf.data).unused_since(before)
    if not old:
        return
    with database.reading() as db:
        needed = {
            digest
            for column, table in (("request", "jobs"), ("infotext", "pictures"))
            for (text,) in db.execute(f"SELECT {column} FROM {table}")
            for digest in DIGEST.findall(text)
        }
    for path in old:
        if path.stem not in needed:
            path.unlink(missing_ok=True)
