"""The file: one owner, versions, damage."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from inkwash.core.errors import DamagedFile, InkwashError
from inkwash.jobs import database
from inkwash.jobs.database import Busy, Database


def test_there_is_one_owner(tmp_path: Path) -> None:
    first = Database(tmp_path / "jobs.sqlite")
    with pytest.raises(Busy, match="another Inkwash"):
        Database(tmp_path / "jobs.sqlite")
    first.close()
    Database(tmp_path / "jobs.sqlite").close()


def test_migrations_run_once_each_and_keep_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobs.sqlite"
    Database(path).close()
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, "CREATE TABLE later (value TEXT)"))
    for _ in range(2):
        opened = Database(path)
        with opened.reading() as db:
            assert db.execute("PRAGMA user_version").fetchone()[0] == len(database.MIGRATIONS)
            assert db.execute("SELECT count(*) FROM later").fetchone()[0] == 0
        opened.close()


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InkwashError, match="newer Inkwash"):
        Database(path)
    Path(path).unlink()
    Database(path).close()  # the lock was let go of


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"not a database at all" * 1000)
    with pytest.raises(DamagedFile, match="not a sound database"):
        Database(path)


def test_a_transaction_that_raises_changes_nothing(tmp_path: Path) -> None:
    opened = Database(tmp_path / "jobs.sqlite")
    with pytest.raises(ZeroDivisionError), opened.writing() as db:
        db.execute("INSERT INTO turns VALUES ('ann', 1)")
        raise ZeroDivisionError
    with opened.reading() as db:
        assert db.execute("SELECT count(*) FROM turns").fetchone()[0] == 0
    opened.close()
