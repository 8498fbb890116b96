"""What the service offers to whoever speaks HTTP, or anything else, to clients.  ``service.Service`` is the real one.

    with Service(Setup(data_dir=..., outputs_dir=...)) as service:
        job = service.desk.submit(NewJob(kind="generate", request={"prompt": "a cat"}))
        watch = service.live.watch(wake=event.set, job=job.id)

Everything here may be called from any thread and returns soon (milliseconds; a write waits for the disk).  No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from inkwash.core.choices import QUALITY
from inkwash.core.errors import InkwashError
from inkwash.core.limits import Limits
from inkwash.core.naming import DEFAULT as PATTERN
from inkwash.core.settings import Memory
from inkwash.jobs.protocol import Desk, Glimpse, Saving


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Where things are kept and how much is taken on.

    data_dir: jobs.sqlite, thumbnails/, items/, trash/.  outputs_dir: pictures, in txt2img-images/DATE/.
    queue, per_user: jobs that may wait, in all and of one user (None: no bound of their own).
    history: ended jobs remembered; pictures stay in the gallery when their job is forgotten.  retention: hours that
    stays what nobody keeps: pictures that are not for the gallery, sources that nothing needs.
    limits: of what may be asked for, once a request's size is decided.
    memory: None: the settings' own.
    side_by_side: pictures drawn at once.  strict: None: the engine's own (True on CPUs).
    worker: the program to run as worker, for tests; empty: Inkwash's own.
    """

    data_dir: Path
    outputs_dir: Path
    models_dir: Path | None = None
    pattern: str = PATTERN
    format: str = "png"
    quality: int = QUALITY
    queue: int = 256
    per_user: int | None = None
    history: int = 10_000
    retention: float = 24.0
    limits: Limits = field(default_factory=Limits)
    memory: Memory | None = None
    side_by_side: int = 8
    device: str | None = None
    dtype: str | None = None
    strict: bool | None = None
    worker: Sequence[str] = ()


class PictureNotFound(InkwashError):
    """No picture of that id."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of the gallery.  id: "JOB-ITEM", the same for every attempt.  thumbnail: WebP, at most 384 pixels."""

    id: str
    path: Path
    thumbnail: Path
    width: int
    height: int
    created: float
    infotext: str
    prompt: str
    negative_prompt: str
    seed: int
    model: str
    favourite: bool
    trashed: bool
    job: str
    user: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some pictures, newest first.  total: of all that fit the question."""

    pictures: Sequence[Picture]
    total: int


class Pictures(Protocol):
    """The gallery.  Every call with an id raises PictureNotFound."""

    def get(self, picture: str) -> Picture:
        """Trashed ones too; ``path`` is where the file is now."""
        ...

    def list(
        self, *, search: str = "", favourite: bool = False, trashed: bool = False, user: str | None = None,
        limit: int = 100, before: str | None = None,
    ) -> Page:  # fmt: skip
        """search: words that all occur in the infotext, case not counting.  before: the id a page continues after."""
        ...

    def mark(self, picture: str, favourite: bool) -> Picture: ...

    def trash(self, picture: str) -> Picture:
        """Move the file to trash/; ``restore`` brings it back to where it was."""
        ...

    def restore(self, picture: str) -> Picture: ...


@dataclass(frozen=True, kw_only=True)
class News:
    """What happened since the last look.  jobs: ids whose state, items or place changed.  glimpses: the newest each."""

    jobs: Sequence[str] = ()
    glimpses: Sequence[Glimpse] = ()


class Watch(Protocol):
    """Somebody's eye on one job, on one user's, or on all.  Never blocks, never grows: only the newest is kept."""

    def take(self) -> News:
        """What is new since the last call; empty if nothing is."""
        ...

    def close(self) -> None: ...


class Live(Protocol):
    """What happens right now.  Nothing of it is stored."""

    def watch(self, wake: Callable[[], None], *, job: str | None = None, user: str | None = None) -> Watch:
        """wake: called from any thread, soon after something new can be taken; must return at once.

        In asyncio: ``wake=lambda: loop.call_soon_threadsafe(event.set)``.
        """
        ...

    def latest(self, job: str) -> Glimpse | None:
        """How far a running job is; None when it does not run or nothing was told yet."""
        ...


@dataclass(frozen=True, kw_only=True)
class WorkerState:
    """How the worker process fares.  memory: bytes it holds.  seconds_per_step: of late, of one picture."""

    state: Literal["starting", "idle", "busy", "down", "stopped"] = "stopped"
    pid: int | None = None
    model: str | None = None
    device: str = ""
    dtype: str = ""
    memory: int = 0
    restarts: int = 0
    seconds_per_step: float | None = None
    gpu_total: int | None = None
    gpu_free: int | None = None


@dataclass(frozen=True, kw_only=True)
class System:
    """The machine and the service on it.  Sizes in bytes; uptime in seconds."""

    worker: WorkerState = field(default_factory=WorkerState)
    queued: int = 0
    running: int = 0
    memory_total: int = 0
    memory_free: int = 0
    memory_process: int = 0
    uptime: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of the log.  number: grows by one a line."""

    number: int
    when: float
    text: str


class ServiceProtocol(Protocol):
    """What a front is given: ``inkwash.jobs.service.Service``, or a test's own."""

    @property
    def desk(self) -> Desk: ...

    @property
    def live(self) -> Live: ...

    @property
    def pictures(self) -> Pictures: ...

    def start(self) -> None:
        """Take the data folder (raises InkwashError if another process has it) and start the worker."""
        ...

    def drain(self, grace: float = 30.0) -> None:
        """No new job is begun, running ones may finish within ``grace`` seconds, the rest is handed back.

        The desk and the gallery still answer.
        """
        ...

    def stop(self, grace: float = 30.0) -> None:
        """Drain, and let go of the data folder."""
        ...

    def system(self) -> System: ...

    def ready(self) -> bool:
        """Whether the worker is up."""
        ...

    def log(self, after: int = 0, limit: int = 500) -> Sequence[LogLine]:
        """The worker's and the supervisor's lines after that number, oldest first."""
        ...

    def load(self, model: str | None) -> None:
        """Have the worker load this model as soon as nothing is drawn; a hint, told in the log if it fails."""
        ...

    def unload(self) -> None:
        """Have the worker let go of its models as soon as nothing is drawn; the next job loads its own again."""
        ...

    def save_as(self, saving: Saving) -> None:
        """Name and write pictures this way from now on; a job that is being drawn is written as it was begun."""
        ...
