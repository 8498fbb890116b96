"""What is asked of the jobs' tables."""

from __future__ import annotations

import sqlite3

from inkwash.jobs.protocol import Item, JobNotFound, Lease, StaleLease
from inkwash.jobs.records import as_item
from inkwash.jobs.turns import Waiting, in_order


def row_of(db: sqlite3.Connection, job: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
    if row is None:
        raise JobNotFound(f"There is no job {job!r}.", "Ended jobs are forgotten after a while; pictures stay.")
    return row


def held_row(db: sqlite3.Connection, lease: Lease) -> sqlite3.Row:
    """The job's row, if the lease is its latest and it still runs.  Raises StaleLease."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM jobs WHERE id = ? AND token = ? AND state = 'running'", (lease.job, lease.token)
    ).fetchone()
    if row is None:
        raise StaleLease(f"Lease {lease.token} of job {lease.job} does not hold any more.", "Drop the job.")
    return row


def job_with_key(db: sqlite3.Connection, user: str, key: str) -> str | None:
    row = db.execute("SELECT id FROM jobs WHERE user = ? AND key = ?", (user, key)).fetchone()
    return str(row["id"]) if row else None


def items_of(db: sqlite3.Connection, job: str) -> list[Item]:
    rows = db.execute("SELECT * FROM items WHERE job = ? AND kept ORDER BY length(name), name", (job,))
    return [as_item(row) for row in rows.fetchall()]


def rows_of_worker(db: sqlite3.Connection, worker: str) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM jobs WHERE state = 'running' AND worker = ?", (worker,)).fetchall()


def places(db: sqlite3.Connection) -> dict[int, int]:
    """seq -> how many jobs go before it."""
    rows = db.execute("SELECT seq, user, priority FROM jobs WHERE state = 'queued'").fetchall()
    turns = {row["user"]: row["turn"] for row in db.execute("SELECT user, turn FROM turns").fetchall()}
    order = in_order((Waiting(row["seq"], row["user"], row["priority"]) for row in rows), turns)
    return {seq: place for place, seq in enumerate(order)}


def pace(db: sqlite3.Connection) -> float:
    """Seconds until a place is likely free: what one job took of late."""
    mean = db.execute(
        "SELECT avg(finished - started) FROM (SELECT finished, started FROM jobs WHERE state = 'done'"
        " ORDER BY seq DESC LIMIT 20)"
    ).fetchone()[0]
    return min(max(1.0, float(mean or 10.0)), 300.0)
