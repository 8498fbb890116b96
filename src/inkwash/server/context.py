"""What every route works with, and who is asking."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from inkwash.checkpoint.catalog import Catalog
from inkwash.core.blobs import Blobs
from inkwash.core.settings import Settings
from inkwash.jobs.protocol import Job, JobNotFound
from inkwash.jobs.serving import Picture, PictureNotFound, ServiceProtocol
from inkwash.prompt.styles import Style, load_styles
from inkwash.server.a1111.calls import Calls
from inkwash.server.a1111.tasks import Tasks
from inkwash.server.accounts import Accounts, Attempts
from inkwash.server.errors import Refusal
from inkwash.server.metrics import Metrics
from inkwash.server.options import Options
from inkwash.server.preferences import Preferences

_CLIENT = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass
class Context:
    """One running server.  catalog: confined to the models' folder, for names come from strangers.

    closing: set when the server goes down, so that streams end.
    """

    settings: Settings
    service: ServiceProtocol
    catalog: Catalog
    accounts: Accounts
    options: Options
    preferences: Preferences
    attempts: Attempts = field(default_factory=Attempts)
    tasks: Tasks = field(default_factory=Tasks)
    calls: Calls = field(default_factory=Calls)
    metrics: Metrics = field(default_factory=Metrics)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def blobs(self) -> Blobs:
        """The pictures that requests start from."""
        return Blobs.of(self.settings.data_dir)

    def styles(self) -> dict[str, Style]:
        """Those of styles.csv, read anew: people edit it while the service runs."""
        root = self.settings.models_dir
        return load_styles((root.parent if root.name == "models" else root) / "styles.csv")

    def job(self, job: str, caller: Caller) -> Job:
        """Raises JobNotFound for another account's too, for whether it exists is nobody's business."""
        found = self.service.desk.get(job)
        if caller.account is not None and found.user != caller.account:
            raise JobNotFound(f"There is no job {job[:80]!r}.", "List your jobs with GET /api/v1/jobs.")
        return found

    def picture(self, picture: str, caller: Caller) -> Picture:
        """Raises PictureNotFound, for another account's too."""
        found = self.service.pictures.get(picture)
        if caller.account is not None and found.user != caller.account:
            raise PictureNotFound(f"There is no picture {picture[:80]!r}.", "List yours with GET /api/v1/pictures.")
        return found

    def check_file(self, path: Path) -> Path:
        """A file about to be handed out: it must lie where the service keeps things, links followed."""
        real = path.resolve()
        roots = (self.settings.outputs_dir.resolve(), self.settings.data_dir.resolve())
        if not (real.is_file() and any(real.is_relative_to(root) for root in roots)):
            raise Refusal(404, "file_gone", "The file is not there any more.", "It was moved or deleted.")
        return real


@dataclass(frozen=True)
class Caller:
    """Who asks.  account: the name that was logged in, None without accounts.

    client: without accounts, what the page calls itself (header X-Inkwash-Client, or ``?client=`` where a browser
    cannot send headers); "" for programs.
    """

    account: str | None
    client: str = ""

    @property
    def user(self) -> str:
        """Whose turn in the queue it is."""
        return self.client if self.account is None else self.account

    @property
    def watched(self) -> str | None:
        """Whose jobs are listed; None: everybody's, for whom has no name and asks where there are no accounts."""
        return self.user or None


# Both are async so that FastAPI calls them in place; plain ones would each cost a hop to a thread.
async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _caller(request: Request) -> Caller:
    client = request.headers.get("x-inkwash-client") or request.query_params.get("client") or ""
    if client and not _CLIENT.fullmatch(client):
        raise Refusal(422, "invalid_client", "X-Inkwash-Client must be 1 to 64 letters, digits, - _ or .",
                      "Make a random one.")  # fmt: skip
    account: str | None = request.scope["state"].get("user")
    return Caller(account, client if account is None else "")


Here = Annotated[Context, Depends(_context)]
Who = Annotated[Caller, Depends(_caller)]
