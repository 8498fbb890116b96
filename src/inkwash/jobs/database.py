"""The SQLite file: one owner, every commit on the disk before it is believed, versions that move forward."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from inkwash.core import files
from inkwash.core.errors import DamagedFile, InkwashError

MIGRATIONS = (
    """
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        request TEXT NOT NULL,
        model TEXT NOT NULL,
        user TEXT NOT NULL,
        priority INTEGER NOT NULL,
        key TEXT,
        origin TEXT NOT NULL,
        state TEXT NOT NULL,
        created REAL NOT NULL,
        started REAL,
        finished REAL,
        attempts INTEGER NOT NULL DEFAULT 0,
        interruptions INTEGER NOT NULL DEFAULT 0,
        token INTEGER NOT NULL DEFAULT 0,
        worker TEXT,
        expires REAL,
        error TEXT,
        remedy TEXT,
        warnings TEXT NOT NULL DEFAULT '[]'
    );
    CREATE UNIQUE INDEX jobs_handed_in_once ON jobs (user, key) WHERE key IS NOT NULL;
    CREATE INDEX jobs_by_state ON jobs (state, seq);
    CREATE INDEX jobs_by_user ON jobs (user, seq);
    CREATE TABLE turns (user TEXT PRIMARY KEY, turn INTEGER NOT NULL);
    CREATE TABLE items (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        job TEXT NOT NULL,
        name TEXT NOT NULL,
        media TEXT NOT NULL,
        path TEXT NOT NULL UNIQUE,
        facts TEXT NOT NULL,
        kept INTEGER NOT NULL,
        UNIQUE (job, name)
    );
    CREATE TABLE pictures (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        job TEXT NOT NULL,
        user TEXT NOT NULL,
        path TEXT NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        created REAL NOT NULL,
        infotext TEXT NOT NULL,
        words TEXT NOT NULL,
        prompt TEXT NOT NULL,
        negative_prompt TEXT NOT NULL,
        seed TEXT NOT NULL,
        model TEXT NOT NULL,
        favourite INTEGER NOT NULL DEFAULT 0,
        trashed INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX pictures_shown ON pictures (trashed, seq);
    CREATE INDEX pictures_by_path ON pictures (path);
    """,
    """
    ALTER TABLE jobs ADD COLUMN passing INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN interrupted INTEGER NOT NULL DEFAULT 0;
    """,
)
"""Statements that lead from each version of the file to the next; never edited, only added to.

jobs.model: as the request names it, "" for the default.  jobs.passing: 1 if its pictures are not for the gallery.
turns: when each user was served last, in claims.  items.kept: 0 while the path is only reserved.  pictures.words: what
is searched, case folded.  Seeds are text: they go up to 2^64, SQLite's integers to 2^63.
"""


class Busy(InkwashError):
    """Another process owns the data folder."""


class Database:
    """One connection for writing, one for reading, each for one thread at a time.

    Raises Busy, DamagedFile or CannotWrite when it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        files.make_folder(path.parent)
        self._owner = own(path.with_suffix(".lock"))
        self._writing, self._reading = threading.RLock(), threading.Lock()
        try:
            with self._words():
                self._writer = self._connected()
                self._migrate()
                self._reader = self._connected()
        except BaseException:
            self._owner.close()
            raise

    def close(self) -> None:
        """Let go of the file; another process may have it."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()
            self._owner.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: on the disk when the block ends, undone if it raises.  Raises CannotWrite."""
        with self._writing, self._words():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What is committed.  One look at one moment; does not wait for writers."""
        with self._reading, self._words():
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.execute("ROLLBACK")

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10.0)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _migrate(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise InkwashError(
                f"{self.path} was written by a newer Inkwash (version {version}; this one knows {len(MIGRATIONS)}).",
                "Update Inkwash, or set another data_dir.",
            )
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            self._writer.executescript(f"BEGIN; {statements}; PRAGMA user_version = {number}; COMMIT;")

    @contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise files.CannotWrite(
                f"{self.path} cannot be used: {error}.", "Free some space on its disk, or set another data_dir."
            ) from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise
            raise DamagedFile(
                f"{self.path} is not a sound database: {error}.", "Move it away; pictures are not touched by that."
            ) from error


def own(path: Path) -> BinaryIO:
    """Hold the lock file until it is closed or the process ends, however it ends.  Raises Busy."""
    file = path.open("ab")
    try:
        _lock(file)
    except OSError as error:
        file.close()
        raise Busy(
            f"{path.parent} is in use by another Inkwash.", "Stop that one, or set another data_dir and port."
        ) from error
    return file


if os.name == "nt":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
