"""How a job goes from one state to the next, inside one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from inkwash.jobs.protocol import ATTEMPTS, INTERRUPTIONS, State


@dataclass(frozen=True)
class Change:
    """A transaction that is under way.  now: seconds since 1970; changed: job, user and state of what it moved."""

    db: sqlite3.Connection
    now: float
    changed: list[tuple[str, str, State]] = field(default_factory=list)

    def moved(self, job: str, user: str, state: State) -> None:
        """Have it told once the transaction is on the disk."""
        self.changed.append((job, user, state))

    def take_back(self, row: sqlite3.Row, why: str) -> None:
        """An attempt came to nothing: another one, or the end."""
        if row["attempts"] < ATTEMPTS:
            self.queue(row, why)
        else:
            remedy = "Try a smaller picture or fewer at once; the log says what the worker met."
            self.end(row, "failed", f"{why}  That was attempt {row['attempts']}.", remedy)

    def interrupt(self, row: sqlite3.Row) -> None:
        if row["interruptions"] >= INTERRUPTIONS:
            self.take_back(row, "The job was cut short again and again.")
            return
        self.db.execute(
            "UPDATE jobs SET attempts = attempts - 1, interruptions = interruptions + 1 WHERE seq = ?", (row["seq"],)
        )
        self.db.execute("UPDATE turns SET turn = 0 WHERE user = ?", (row["user"],))  # nor does its user lose the turn
        self.queue(row, None)

    def queue(self, row: sqlite3.Row, error: str | None) -> None:
        """Back to its old place in its user's line; unless somebody was content with what was there."""
        if row["interrupted"]:
            self.end(row, "cancelled", error)
            return
        self.db.execute(
            "UPDATE jobs SET state = 'queued', worker = NULL, expires = NULL, error = ?, token = token + 1"
            " WHERE seq = ?",
            (error, row["seq"]),
        )
        self.moved(row["id"], row["user"], "queued")

    def end(self, row: sqlite3.Row, state: State, error: str | None = None, remedy: str | None = None) -> None:
        self.db.execute(
            "UPDATE jobs SET state = ?, finished = ?, worker = NULL, expires = NULL, error = ?, remedy = ?"
            " WHERE seq = ?",
            (state, self.now, error, remedy, row["seq"]),
        )
        self.moved(row["id"], row["user"], state)
