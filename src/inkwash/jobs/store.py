"""The one owner of all jobs: ``Desk`` for clients and ``Bench`` for workers, on SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from inkwash.jobs.database import Database
from inkwash.jobs.forgetting import ENDED, forget
from inkwash.jobs.protocol import (
    ATTEMPTS,
    Item,
    Job,
    Lease,
    NewJob,
    QueueFull,
    Saving,
    State,
)
from inkwash.jobs.queries import held_row, items_of, job_with_key, pace, places, row_of, rows_of_worker
from inkwash.jobs.records import as_job, dumped, new_id, with_seeds
from inkwash.jobs.results import Results
from inkwash.jobs.shelf import Shelf
from inkwash.jobs.transitions import Change

LEASE = 60.0
"""Seconds a lease holds without a heartbeat."""

RETENTION = 24 * 3600.0
"""Seconds that stays what nobody keeps."""

TIDY_EVERY = 100
"""Jobs handed in between two looks at what may be forgotten."""

Told = Callable[[str, str, State], None]
"""Called after a job's state or items changed: job, user, state; by the thread that did it.  Must return at once."""

Asked = Callable[[str, str], None]
"""Called when something is wanted of a running job: "skip" or "interrupt", job.  Must return at once."""


def nobody(job: str, user: str, state: State) -> None:
    """Nobody is told."""


def no_one(wish: str, job: str) -> None:
    """Nobody is asked."""


class Store:
    """Every method is one transaction, on the disk when it returns; safe from any thread.

    queue, per_user: jobs that may wait, in all and of one user.  retention: seconds that jobs are remembered whose
    pictures are not for the gallery, and that sources of pictures stay which nothing needs.  clock: seconds since 1970.
    """

    def __init__(
        self, database: Database, shelf: Shelf, *, queue: int = 256, per_user: int | None = None,
        history: int = 10_000, retention: float = RETENTION, lease: float = LEASE, saving: Saving | None = None,
        clock: Callable[[], float] = time.time, told: Told = nobody, asked: Asked = no_one,
    ) -> None:  # fmt: skip
        self.database = database
        self.shelf = shelf
        self.results = Results(database, shelf, saving or Saving(), clock)
        self.queue = queue
        self.per_user = per_user
        self.history = history
        self.retention = retention
        self.lease = lease
        self.clock = clock
        self.told = told
        self.asked = asked
        self._handed_in = 0

    # --- Desk

    def submit(self, new: NewJob) -> Job:
        with self._changing() as change:
            known = None if new.key is None else job_with_key(change.db, new.user, new.key)
            if not known:
                self._check_room(change.db, new.user)
                job = new_id(change.now)
                request = with_seeds(new.request) if new.kind == "generate" else new.request
                change.db.execute(
                    "INSERT INTO jobs (id, kind, request, model, user, priority, key, origin, state, created, passing)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?)",
                    (
                        job,
                        new.kind,
                        dumped(request),
                        str(request.get("model") or ""),
                        new.user,
                        new.priority,
                        new.key,
                        new.origin,
                        change.now,
                        not new.keep,
                    ),
                )
                change.moved(job, new.user, "queued")
        if not known:
            self._tidy_sometimes()
        return self.get(known or job)

    def get(self, job: str) -> Job:
        with self.database.reading() as db:
            return self._jobs(db, [row_of(db, job)])[0]

    def list(self, *, user: str | None = None, states: Sequence[State] = (), limit: int = 100, before: str | None = None
    ) -> Sequence[Job]:  # fmt: skip
        with self.database.reading() as db:
            where, values = ["1"], list[Any]()
            if user is not None:
                where.append("user = ?")
                values.append(user)
            if states:
                where.append(f"state IN ({', '.join('?' * len(states))})")
                values += states
            if before is not None:
                where.append("seq < ?")
                values.append(row_of(db, before)["seq"])
            condition = " AND ".join(where)
            rows = db.execute(f"SELECT * FROM jobs WHERE {condition} ORDER BY seq DESC LIMIT ?", (*values, limit))
            return self._jobs(db, rows.fetchall())

    def cancel(self, job: str) -> Job:
        with self._changing() as change:
            row = row_of(change.db, job)
            if row["state"] not in ENDED:
                change.end(row, "cancelled")
        return self.get(job)

    def skip(self, job: str) -> Job:
        found = self.get(job)
        if found.state == "running":
            self.asked("skip", job)
        return found

    def interrupt(self, job: str) -> Job:
        with self._changing() as change:
            row = row_of(change.db, job)
            drawn = row["kind"] == "generate"  # all others have nothing to show of what is half done
            running = row["state"] == "running" and drawn
            if row["state"] == "queued" or (row["state"] == "running" and not drawn):
                change.end(row, "cancelled")
            elif running:
                change.db.execute("UPDATE jobs SET interrupted = 1 WHERE seq = ?", (row["seq"],))
                change.moved(job, row["user"], "running")
        if running:
            self.asked("interrupt", job)
        return self.get(job)

    def discard(self, job: str) -> None:
        with self.database.writing() as db:
            row = row_of(db, job)
            if not row["passing"] or row["state"] not in ENDED:
                return
            db.execute("DELETE FROM items WHERE job = ?", (job,))
        self.shelf.forget_items(job)

    def retry(self, job: str) -> Job:
        old = self.get(job)
        return self.submit(
            NewJob(
                kind=old.kind, request=old.request, user=old.user, priority=old.priority, origin=old.origin,
                keep=old.keep,
            )
        )  # fmt: skip

    def counts(self) -> Mapping[State, int]:
        """How many jobs wait and run."""
        with self.database.reading() as db:
            states: tuple[State, ...] = ("queued", "running")
            return {
                state: int(db.execute("SELECT count(*) FROM jobs WHERE state = ?", (state,)).fetchone()[0])
                for state in states
            }

    # --- Bench

    def claim(self, worker: str, *, model: str | None = None) -> Lease | None:
        with self._changing() as change:
            self._take_back_expired(change)
            row = change.db.execute(
                "SELECT jobs.* FROM jobs LEFT JOIN turns USING (user) WHERE state = 'queued'"
                " ORDER BY priority DESC, coalesce(turn, 0), seq LIMIT 1"
            ).fetchone()
            if row is None or (model is not None and (row["attempts"] or row["model"] != model)):
                return None
            change.db.execute(
                "UPDATE jobs SET state = 'running', worker = ?, token = token + 1, attempts = attempts + 1,"
                " started = ?, expires = ? WHERE seq = ?",
                (worker, change.now, change.now + self.lease, row["seq"]),
            )
            change.db.execute(
                "INSERT OR REPLACE INTO turns VALUES (?, (SELECT coalesce(max(turn), 0) + 1 FROM turns))",
                (row["user"],),
            )
            change.moved(row["id"], row["user"], "running")
            return self._lease(change.db, row["id"])

    def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        expires = self.clock() + self.lease
        held = []
        with self.database.writing() as db:
            for lease in leases:
                changed = db.execute(
                    "UPDATE jobs SET expires = ? WHERE id = ? AND token = ? AND state = 'running'",
                    (expires, lease.job, lease.token),
                )
                if changed.rowcount:
                    held.append(self._lease(db, lease.job))
        return held

    def keep(self, lease: Lease, name: str, media: str, data: bytes, facts: Mapping[str, Any]) -> Item:
        item = self.results.keep(lease, name, media, data, facts, check=held_row)
        with self.database.reading() as db:
            row = row_of(db, lease.job)
        self.told(row["id"], row["user"], row["state"])
        return item

    def finish(self, lease: Lease, warnings: Sequence[str] = ()) -> None:
        with self._changing() as change:
            row = held_row(change.db, lease)
            change.db.execute("UPDATE jobs SET warnings = ? WHERE seq = ?", (dumped(list(warnings)), row["seq"]))
            change.end(row, "done")

    def fail(self, lease: Lease, error: str, remedy: str, *, again: bool) -> None:
        with self._changing() as change:
            row = held_row(change.db, lease)
            if again and row["attempts"] < ATTEMPTS:
                change.queue(row, error)
            else:
                change.end(row, "failed", error, remedy)

    def hand_back(self, lease: Lease) -> None:
        with self._changing() as change:
            change.interrupt(held_row(change.db, lease))

    # --- what its owner asks for

    def recover(self) -> None:
        """At the start: no worker of an owner before this one lives, so whatever ran waits again."""
        with self._changing() as change:
            for row in change.db.execute("SELECT * FROM jobs WHERE state = 'running'").fetchall():
                change.interrupt(row)

    def abandon(self, worker: str, why: str, *, counts: bool) -> None:
        """A worker died.  counts: its jobs may have killed it, so the attempt counts."""
        with self._changing() as change:
            for row in rows_of_worker(change.db, worker):
                if not counts:
                    change.interrupt(row)
                else:
                    change.take_back(row, why)

    def tidy(self) -> None:
        """Forget ended jobs beyond ``history``, whose pictures stay; those whose files go with them, sooner; and jobs
        whose pictures nobody keeps after ``retention``.  Remove sources that nothing needs any more.
        """
        forget(self.database, self.shelf, self.history, self.retention, self.clock())

    # ---

    @contextmanager
    def _changing(self) -> Iterator[Change]:
        """A transaction; what it changed is told once it is on the disk."""
        with self.database.writing() as db:
            change = Change(db, self.clock())
            yield change
        for job, user, state in change.changed:
            self.told(job, user, state)

    def _lease(self, db: sqlite3.Connection, job: str) -> Lease:
        row, saving = row_of(db, job), self.results.saving
        return Lease(
            job=job,
            token=row["token"],
            kind=row["kind"],
            request=as_job(row, (), None).request,
            attempt=row["attempts"],
            expires=row["expires"],
            format=saving.format,
            quality=saving.quality,
        )

    def _check_room(self, db: sqlite3.Connection, user: str) -> None:
        waiting = db.execute("SELECT count(*), coalesce(sum(user = ?), 0) FROM jobs WHERE state = 'queued'", (user,))
        total, own = waiting.fetchone()
        if total >= self.queue:
            raise QueueFull(f"{total} jobs wait already.", "Ask again a little later.", pace(db))
        if self.per_user is not None and own >= self.per_user:
            raise QueueFull(f"{own} of your jobs wait already.", "Wait for one of them, or cancel one.", pace(db))

    def _jobs(self, db: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> Sequence[Job]:
        order = places(db) if any(row["state"] == "queued" for row in rows) else {}
        return [as_job(row, items_of(db, row["id"]), order.get(row["seq"])) for row in rows]

    def _take_back_expired(self, change: Change) -> None:
        for row in change.db.execute(
            "SELECT * FROM jobs WHERE state = 'running' AND expires < ?", (change.now,)
        ).fetchall():
            change.take_back(row, "The worker was not heard of any more.")

    def _tidy_sometimes(self) -> None:
        self._handed_in += 1
        if self._handed_in % TIDY_EVERY == 0:
            self.tidy()
