"""The one owner of all jobs: ``Desk`` for clients and ``Bench`` for workers, on SQLite."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from inkwash.core.blobs import Blobs
from inkwash.jobs.database import Database
from inkwash.jobs.protocol import (
    ATTEMPTS,
    INTERRUPTIONS,
    Item,
    Job,
    JobNotFound,
    Lease,
    NewJob,
    QueueFull,
    Saving,
    StaleLease,
    State,
)
from inkwash.jobs.records import as_item, as_job, dumped, new_id, with_seeds
from inkwash.jobs.results import Results
from inkwash.jobs.shelf import Shelf
from inkwash.jobs.turns import Waiting, in_order

LEASE = 60.0
"""Seconds a lease holds without a heartbeat."""
Changed = list[tuple[str, str, State]]
"""What a transaction changed: job, user, state."""

RETENTION = 24 * 3600.0
"""Seconds that stays what nobody keeps."""
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
"""How requests and pictures' texts name the pictures they were made from."""

ENDED = ("done", "failed", "cancelled")
REMEMBERED = {"explain": 200, "extras": 20}
"""Ended jobs of the kinds whose results are no pictures of the gallery: an explanation has some fifty files, an
enlarging large ones, and they go with their job."""
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
        now = self.clock()
        with self._changing() as (db, changed):
            known = None if new.key is None else _by_key(db, new.user, new.key)
            if not known:
                self._check_room(db, new.user)
                job = new_id(now)
                request = with_seeds(new.request) if new.kind == "generate" else new.request
                db.execute(
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
                        now,
                        not new.keep,
                    ),
                )
                changed.append((job, new.user, "queued"))
        if not known:
            self._tidy_sometimes()
        return self.get(known or job)

    def get(self, job: str) -> Job:
        with self.database.reading() as db:
            return self._jobs(db, [_row(db, job)])[0]

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
                values.append(_row(db, before)["seq"])
            condition = " AND ".join(where)
            rows = db.execute(f"SELECT * FROM jobs WHERE {condition} ORDER BY seq DESC LIMIT ?", (*values, limit))
            return self._jobs(db, rows.fetchall())

    def cancel(self, job: str) -> Job:
        with self._changing() as (db, changed):
            row = _row(db, job)
            if row["state"] not in ENDED:
                self._end(db, changed, row, "cancelled")
        return self.get(job)

    def skip(self, job: str) -> Job:
        found = self.get(job)
        if found.state == "running":
            self.asked("skip", job)
        return found

    def interrupt(self, job: str) -> Job:
        with self._changing() as (db, changed):
            row = _row(db, job)
            drawn = row["kind"] == "generate"  # all others have nothing to show of what is half done
            running = row["state"] == "running" and drawn
            if row["state"] == "queued" or (row["state"] == "running" and not drawn):
                self._end(db, changed, row, "cancelled")
            elif running:
                db.execute("UPDATE jobs SET interrupted = 1 WHERE seq = ?", (row["seq"],))
                changed.append((job, row["user"], "running"))
        if running:
            self.asked("interrupt", job)
        return self.get(job)

    def discard(self, job: str) -> None:
        with self.database.writing() as db:
            row = _row(db, job)
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
        now = self.clock()
        with self._changing() as (db, changed):
            self._take_back_expired(db, changed, now)
            row = db.execute(
                "SELECT jobs.* FROM jobs LEFT JOIN turns USING (user) WHERE state = 'queued'"
                " ORDER BY priority DESC, coalesce(turn, 0), seq LIMIT 1"
            ).fetchone()
            if row is None or (model is not None and (row["attempts"] or row["model"] != model)):
                return None
            db.execute(
                "UPDATE jobs SET state = 'running', worker = ?, token = token + 1, attempts = attempts + 1,"
                " started = ?, expires = ? WHERE seq = ?",
                (worker, now, now + self.lease, row["seq"]),
            )
            db.execute(
                "INSERT OR REPLACE INTO turns VALUES (?, (SELECT coalesce(max(turn), 0) + 1 FROM turns))",
                (row["user"],),
            )
            changed.append((row["id"], row["user"], "running"))
            return self._lease(db, row["id"])

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
        item = self.results.keep(lease, name, media, data, facts, check=_held)
        with self.database.reading() as db:
            row = _row(db, lease.job)
        self.told(row["id"], row["user"], row["state"])
        return item

    def finish(self, lease: Lease, warnings: Sequence[str] = ()) -> None:
        with self._changing() as (db, changed):
            row = _held(db, lease)
            db.execute("UPDATE jobs SET warnings = ? WHERE seq = ?", (dumped(list(warnings)), row["seq"]))
            self._end(db, changed, row, "done")

    def fail(self, lease: Lease, error: str, remedy: str, *, again: bool) -> None:
        with self._changing() as (db, changed):
            row = _held(db, lease)
            if again and row["attempts"] < ATTEMPTS:
                self._queue(db, changed, row, error)
            else:
                self._end(db, changed, row, "failed", error, remedy)

    def hand_back(self, lease: Lease) -> None:
        with self._changing() as (db, changed):
            self._interrupt(db, changed, _held(db, lease))

    # --- what its owner asks for

    def recover(self) -> None:
        """At the start: no worker of an owner before this one lives, so whatever ran waits again."""
        with self._changing() as (db, changed):
            for row in db.execute("SELECT * FROM jobs WHERE state = 'running'").fetchall():
                self._interrupt(db, changed, row)

    def abandon(self, worker: str, why: str, *, counts: bool) -> None:
        """A worker died.  counts: its jobs may have killed it, so the attempt counts."""
        with self._changing() as (db, changed):
            for row in _of_worker(db, worker):
                if not counts:
                    self._interrupt(db, changed, row)
                else:
                    self._take_back(db, changed, row, why)

    def tidy(self) -> None:
        """Forget ended jobs beyond ``history``, whose pictures stay; those whose files go with them, sooner; and jobs
        whose pictures nobody keeps after ``retention``.  Remove sources that nothing needs any more.
        """
        with self.database.writing() as db:
            rows = [
                row
                for kind, kept in ((None, self.history), *REMEMBERED.items())
                for row in db.execute(
                    f"SELECT seq, id FROM jobs WHERE state IN {ENDED} AND kind = coalesce(?, kind)"
                    " ORDER BY seq DESC LIMIT -1 OFFSET ?",
                    (kind, kept),
                ).fetchall()
            ]
            rows += db.execute(
                f"SELECT seq, id FROM jobs WHERE state IN {ENDED} AND passing AND finished < ?",
                (self.clock() - self.retention,),
            ).fetchall()
            for row in rows:
                db.execute("DELETE FROM items WHERE job = ?", (row["id"],))
                db.execute("DELETE FROM jobs WHERE seq = ?", (row["seq"],))
            db.execute("DELETE FROM turns WHERE user NOT IN (SELECT user FROM jobs)")
        for row in rows:
            self.shelf.forget_items(row["id"])
        self._tidy_sources()

    def _tidy_sources(self) -> None:
        """Looks at what is needed only if something could go."""
        old = Blobs.of(self.shelf.data).unused_since(self.clock() - self.retention)
        if not old:
            return
        with self.database.reading() as db:
            needed = {
                digest
                for column, table in (("request", "jobs"), ("infotext", "pictures"))
                for (text,) in db.execute(f"SELECT {column} FROM {table}")
                for digest in DIGEST.findall(text)
            }
        for path in old:
            if path.stem not in needed:
                path.unlink(missing_ok=True)

    # ---

    @contextmanager
    def _changing(self) -> Iterator[tuple[sqlite3.Connection, Changed]]:
        """A transaction; what it changed is told once it is on the disk."""
        changed: Changed = []
        with self.database.writing() as db:
            yield db, changed
        for job, user, state in changed:
            self.told(job, user, state)

    def _lease(self, db: sqlite3.Connection, job: str) -> Lease:
        row, saving = _row(db, job), self.results.saving
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
            raise QueueFull(f"{total} jobs wait already.", "Ask again a little later.", _pace(db))
        if self.per_user is not None and own >= self.per_user:
            raise QueueFull(f"{own} of your jobs wait already.", "Wait for one of them, or cancel one.", _pace(db))

    def _jobs(self, db: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> Sequence[Job]:
        places = _places(db) if any(row["state"] == "queued" for row in rows) else {}
        return [as_job(row, _items(db, row["id"]), places.get(row["seq"])) for row in rows]

    def _take_back_expired(self, db: sqlite3.Connection, changed: Changed, now: float) -> None:
        for row in db.execute("SELECT * FROM jobs WHERE state = 'running' AND expires < ?", (now,)).fetchall():
            self._take_back(db, changed, row, "The worker was not heard of any more.")

    def _take_back(self, db: sqlite3.Connection, changed: Changed, row: sqlite3.Row, why: str) -> None:
        """An attempt came to nothing: another one, or the end."""
        if row["attempts"] < ATTEMPTS:
            self._queue(db, changed, row, why)
        else:
            remedy = "Try a smaller picture or fewer at once; the log says what the worker met."
            self._end(db, changed, row, "failed", f"{why}  That was attempt {row['attempts']}.", remedy)

    def _interrupt(self, db: sqlite3.Connection, changed: Changed, row: sqlite3.Row) -> None:
        if row["interruptions"] >= INTERRUPTIONS:
            self._take_back(db, changed, row, "The job was cut short again and again.")
            return
        db.execute(
            "UPDATE jobs SET attempts = attempts - 1, interruptions = interruptions + 1 WHERE seq = ?", (row["seq"],)
        )
        db.execute("UPDATE turns SET turn = 0 WHERE user = ?", (row["user"],))  # nor does its user lose the turn
        self._queue(db, changed, row, None)

    def _queue(self, db: sqlite3.Connection, changed: Changed, row: sqlite3.Row, error: str | None) -> None:
        """Back to its old place in its user's line; unless somebody was content with what was there."""
        if row["interrupted"]:
            self._end(db, changed, row, "cancelled", error)
            return
        db.execute(
            "UPDATE jobs SET state = 'queued', worker = NULL, expires = NULL, error = ?, token = token + 1"
            " WHERE seq = ?",
            (error, row["seq"]),
        )
        changed.append((row["id"], row["user"], "queued"))

    def _end(
        self, db: sqlite3.Connection, changed: Changed, row: sqlite3.Row, state: State,
        error: str | None = None, remedy: str | None = None,
    ) -> None:  # fmt: skip
        db.execute(
            "UPDATE jobs SET state = ?, finished = ?, worker = NULL, expires = NULL, error = ?, remedy = ?"
            " WHERE seq = ?",
            (state, self.clock(), error, remedy, row["seq"]),
        )
        changed.append((row["id"], row["user"], state))

    def _tidy_sometimes(self) -> None:
        self._handed_in += 1
        if self._handed_in % TIDY_EVERY == 0:
            self.tidy()


def _row(db: sqlite3.Connection, job: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
    if row is None:
        raise JobNotFound(f"There is no job {job!r}.", "Ended jobs are forgotten after a while; pictures stay.")
    return row


def _held(db: sqlite3.Connection, lease: Lease) -> sqlite3.Row:
    """The job's row, if the lease is its latest and it still runs.  Raises StaleLease."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM jobs WHERE id = ? AND token = ? AND state = 'running'", (lease.job, lease.token)
    ).fetchone()
    if row is None:
        raise StaleLease(f"Lease {lease.token} of job {lease.job} does not hold any more.", "Drop the job.")
    return row


def _by_key(db: sqlite3.Connection, user: str, key: str) -> str | None:
    row = db.execute("SELECT id FROM jobs WHERE user = ? AND key = ?", (user, key)).fetchone()
    return str(row["id"]) if row else None


def _items(db: sqlite3.Connection, job: str) -> list[Item]:
    rows = db.execute("SELECT * FROM items WHERE job = ? AND kept ORDER BY length(name), name", (job,))
    return [as_item(row) for row in rows.fetchall()]


def _of_worker(db: sqlite3.Connection, worker: str) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM jobs WHERE state = 'running' AND worker = ?", (worker,)).fetchall()


def _places(db: sqlite3.Connection) -> dict[int, int]:
    """seq -> how many jobs go before it."""
    rows = db.execute("SELECT seq, user, priority FROM jobs WHERE state = 'queued'").fetchall()
    turns = {row["user"]: row["turn"] for row in db.execute("SELECT user, turn FROM turns").fetchall()}
    order = in_order((Waiting(row["seq"], row["user"], row["priority"]) for row in rows), turns)
    return {seq: place for place, seq in enumerate(order)}


def _pace(db: sqlite3.Connection) -> float:
    """Seconds until a place is likely free: what one job took of late."""
    mean = db.execute(
        "SELECT avg(finished - started) FROM (SELECT finished, started FROM jobs WHERE state = 'done'"
        " ORDER BY seq DESC LIMIT 20)"
    ).fetchone()[0]
    return min(max(1.0, float(mean or 10.0)), 300.0)
