"""What a job is, and what whoever keeps jobs promises: to clients (``Desk``) and to workers (``Bench``).

One process owns the store and offers both; a worker, here or on another machine, speaks ``Bench`` over a connection.
Nobody else knows SQL.  Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from inkwash.core.choices import QUALITY
from inkwash.core.errors import InkwashError
from inkwash.core.naming import DEFAULT as PATTERN

State = Literal["queued", "running", "done", "failed", "cancelled"]
Kind = Literal["generate", "explain", "model", "extras"]
PAINTED: tuple[Kind, ...] = ("generate", "extras")
"""What brings pictures for the gallery."""
ATTEMPTS = 3
"""How often a job is begun before it is set aside with its error."""
INTERRUPTIONS = 200
"""How often a job may be cut short from outside (a restart, a kill) before that counts as its own attempts."""


class QueueFull(InkwashError):
    """So many jobs wait that one more is not taken.  retry_after: seconds after which asking again is sensible."""

    def __init__(self, message: str, remedy: str, retry_after: float) -> None:
        super().__init__(message, remedy)
        self.retry_after = retry_after


class JobNotFound(InkwashError):
    """No job of that id, or it belongs to somebody else."""


class StaleLease(InkwashError):
    """The lease ran out, or the job was cancelled: whatever the worker still brings is refused."""


@dataclass(frozen=True)
class Saving:
    """How pictures are named and written, from the next that is begun on."""

    pattern: str = PATTERN
    format: str = "png"
    quality: int = QUALITY


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What a client hands in.  request: JSON of the kind's own shape (``core.wire``).

    user: whose turn it is and who may see it.  key: the same key from the same user is the same job, handed in once.
    priority: larger goes first.  origin: "page", "a1111", "openai", "cli", ... for people's eyes.
    keep: whether its pictures go to the gallery; those of other jobs are there for whoever asked, and leave after a
    while.
    """

    kind: Kind
    request: Mapping[str, Any]
    user: str = ""
    priority: int = 0
    key: str | None = None
    origin: str = ""
    keep: bool = True


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing a job made, a file the owner keeps.  name: unique in its job.  facts: seed, infotext, size, ..."""

    name: str  # "0", "1", ... for pictures in the request's order
    media: str  # "image/png", "application/json", ...
    path: str  # where the file is; absolute
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as it stands.  position: jobs that go before it, None unless queued.  interrupted: ended early by wish."""

    id: str
    kind: Kind
    request: Mapping[str, Any]
    user: str
    priority: int
    origin: str
    state: State
    created: float
    started: float | None = None
    finished: float | None = None
    position: int | None = None
    attempts: int = 0
    error: str | None = None
    remedy: str | None = None
    items: Sequence[Item] = ()
    warnings: Sequence[str] = ()
    keep: bool = True
    interrupted: bool = False


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A worker's right to one job.  token: grows with every lease of the job; an older one is refused (fencing).

    format, quality: how its pictures are written.
    """

    job: str
    token: int
    kind: Kind
    request: Mapping[str, Any]
    attempt: int
    expires: float
    format: str = "png"
    quality: int = QUALITY


class Desk(Protocol):
    """What clients ask for."""

    def submit(self, new: NewJob) -> Job:
        """Take a job; when this returns it is on the disk and is never lost.  Raises QueueFull."""
        ...

    def get(self, job: str) -> Job:
        """Raises JobNotFound."""
        ...

    def list(self, *, user: str | None = None, states: Sequence[State] = (), limit: int = 100, before: str | None = None
    ) -> Sequence[Job]:  # fmt: skip
        """Newest first; before: the id that a page continues after."""
        ...

    def cancel(self, job: str) -> Job:
        """Queued: gone from the queue.  Running: its worker is told and stops within one step.  Ended: unchanged."""
        ...

    def skip(self, job: str) -> Job:
        """Running: the batch at work is ended within a step, each picture as it stands, and the next begun."""
        ...

    def interrupt(self, job: str) -> Job:
        """Running: likewise, but no batch follows and the job is done.  Queued: as ``cancel``."""
        ...

    def discard(self, job: str) -> None:
        """Remove what an ended job made, if it is not for the gallery: whoever asked has it."""
        ...

    def retry(self, job: str) -> Job:
        """A new job of the same request, for one that failed or was cancelled."""
        ...


class Bench(Protocol):
    """What workers ask for.  Every call with a lease raises StaleLease when it is not the job's latest any more."""

    def claim(self, worker: str, *, model: str | None = None) -> Lease | None:
        """The job whose turn it is: by priority, then fair turns between users, then age.  None: nothing to do.

        model: given by a worker whose loop is still busy: only if that next job can join it, that is, names this model
        ("" for None) and is begun for the first time; the order is never changed for it, so nobody waits for ever.
        """
        ...

    def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        """The heartbeat: the leases that still hold, extended.  What is missing was cancelled or lost."""
        ...

    def keep(self, lease: Lease, name: str, media: str, data: bytes, facts: Mapping[str, Any]) -> Item:
        """Put one result under its final name, whole or not at all; the same name again replaces it."""
        ...

    def finish(self, lease: Lease, warnings: Sequence[str] = ()) -> None:
        """The job is done and all its items are kept."""
        ...

    def fail(self, lease: Lease, error: str, remedy: str, *, again: bool) -> None:
        """again: the fault is not the request's (a crash, lack of memory): another attempt if any is left.

        A job that is begun again is claimed only by a worker that draws nothing else, so that it harms no other.
        """
        ...

    def hand_back(self, lease: Lease) -> None:
        """The job was not finished through no fault of its own (the worker stops): it waits again, first in its line,
        and the attempt does not count.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Glimpse:
    """How far a running job is: told often, may be lost, never stored.

    preview: a small WebP or PNG picture of what the model believes now; None when nothing new is to be seen.
    """

    job: str
    picture: int  # index of the picture spoken of
    pictures: int
    step: int
    steps: int
    sigma: float
    fraction: float  # of the whole job, 0..1
    seconds_left: float | None = None
    stage: Literal["loading", "drawing", "decoding", "writing"] = "drawing"
    preview: bytes | None = None
    media: str = "image/webp"

    def after(self, earlier: Glimpse | None) -> Glimpse:
        """This one in the place of an earlier one that was not seen; its preview is not lost."""
        if earlier is None or self.preview is not None or earlier.picture != self.picture:
            return self
        return replace(self, preview=earlier.preview, media=earlier.media)
