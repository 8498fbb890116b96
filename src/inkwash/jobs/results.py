"""What jobs bring: each under one name for good, whatever happens in between.

A path is written into the database before the bytes go there, so another attempt at the job replaces its own file and
never leaves a second one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inkwash.core import files, infotext
from inkwash.jobs.database import Database
from inkwash.jobs.protocol import PAINTED, Item, Lease, Saving
from inkwash.jobs.records import as_item, dumped
from inkwash.jobs.shelf import Shelf, is_of, write_thumbnail

Check = Callable[[sqlite3.Connection, Lease], sqlite3.Row]
"""The job's row if the lease holds; raises StaleLease."""


class Results:
    """Files, and the rows that speak of them."""

    def __init__(self, database: Database, shelf: Shelf, saving: Saving, clock: Callable[[], float]) -> None:
        self.database = database
        self.shelf = shelf
        self.saving = saving
        self.clock = clock

    def keep(
        self, lease: Lease, name: str, media: str, data: bytes, facts: Mapping[str, Any], *, check: Check
    ) -> Item:  # fmt: skip
        """Raises StaleLease, CannotWrite."""
        with self.database.writing() as db:
            passing = check(db, lease)["passing"]
        if lease.kind not in PAINTED or passing:
            path = self.shelf.item(lease.job, name, media)
            files.write(path, data)
            return self._settle(lease, name, media, path, facts, None, check)
        picture = f"{lease.job}-{name}"
        path = self._put(lease, name, media, data, facts, check)
        size = write_thumbnail(self.shelf.thumbnail(picture), data)
        return self._settle(lease, name, media, path, facts, size, check)

    def _put(
        self, lease: Lease, name: str, media: str, data: bytes, facts: Mapping[str, Any], check: Check
    ) -> Path:  # fmt: skip
        """Promise a path, then fill it.  A file that somebody else put there meanwhile is left alone."""
        while True:
            with self.database.writing() as db:
                check(db, lease)
                promised = db.execute("SELECT path FROM items WHERE job = ? AND name = ?", (lease.job, name)).fetchone()
                path = Path(promised["path"]) if promised else self._promise(db, lease, name, media, facts)
            if files.write_new(path, data):
                return path
            if promised and is_of(path, str(facts.get("infotext", ""))):
                files.write(path, data)
                return path
            with self.database.writing() as db:
                db.execute("DELETE FROM items WHERE job = ? AND name = ?", (lease.job, name))

    def _promise(
        self, db: sqlite3.Connection, lease: Lease, name: str, media: str, facts: Mapping[str, Any]
    ) -> Path:  # fmt: skip
        def taken(path: str) -> bool:
            return db.execute("SELECT 1 FROM items WHERE path = ?", (path,)).fetchone() is not None or (
                db.execute("SELECT 1 FROM pictures WHERE path = ?", (path,)).fetchone() is not None
            )

        path = self.shelf.picture(self.saving.pattern, media, facts, self.clock(), taken)
        db.execute(
            "INSERT INTO items (job, name, media, path, facts, kept) VALUES (?, ?, ?, ?, ?, 0)",
            (lease.job, name, media, str(path), dumped(dict(facts))),
        )
        return path

    def _settle(
        self, lease: Lease, name: str, media: str, path: Path, facts: Mapping[str, Any],
        size: tuple[int, int] | None, check: Check,
    ) -> Item:  # fmt: skip
        """Now that the bytes are there, say so."""
        facts = dict(facts) if size is None else {"width": size[0], "height": size[1], **facts}
        with self.database.writing() as db:
            row = check(db, lease)
            db.execute(
                "INSERT INTO items (job, name, media, path, facts, kept) VALUES (?, ?, ?, ?, ?, 1)"
                " ON CONFLICT (job, name) DO UPDATE SET kept = 1, facts = excluded.facts",
                (lease.job, name, media, str(path), dumped(facts)),
            )
            if size is not None:
                self._hang(db, f"{lease.job}-{name}", row, path, size, facts)
            kept = db.execute("SELECT * FROM items WHERE job = ? AND name = ?", (lease.job, name)).fetchone()
            return as_item(kept)

    def _hang(
        self, db: sqlite3.Connection, picture: str, job: sqlite3.Row, path: Path, size: tuple[int, int],
        facts: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Into the gallery; what people did to the picture since an earlier attempt stays."""
        text = str(facts.get("infotext", ""))
        parsed = infotext.parse(text)
        db.execute(
            "INSERT INTO pictures (id, job, user, path, width, height, created, infotext, words, prompt,"
            " negative_prompt, seed, model) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET path = excluded.path",
            (
                picture, job["id"], job["user"], str(path), *size, self.clock(), text, text.casefold(), parsed.prompt,
                parsed.negative_prompt, str(facts.get("seed", -1)), parsed.get("Model", ""),
            ),
        )  # fmt: skip
