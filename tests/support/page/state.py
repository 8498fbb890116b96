"""What the stand-in knows: jobs and pictures in a folder, so that a restart finds them, and who listens."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from pathlib import Path
from typing import Any

LIVE = ("queued", "running")


class State:
    """Jobs by id in order of arrival, and the pictures they made; every change is written and told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pictures: dict[str, dict[str, Any]] = {}
        self.listeners: set[asyncio.Queue[tuple[str, Any]]] = set()
        self.wake = asyncio.Event()
        if (folder / "state.json").exists():
            self._read()

    def _read(self) -> None:
        kept = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        self.jobs, self.pictures = kept["jobs"], kept["pictures"]
        for job in self.jobs.values():
            if job["state"] == "running":
                job.update(state="queued", started=None)
        self.wake.set()

    def write(self) -> None:
        kept = json.dumps({"jobs": self.jobs, "pictures": self.pictures})
        (self.folder / "state.json").write_text(kept, encoding="utf-8")

    def add(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        number = next(number for number in itertools.count(len(self.jobs) + 1) if f"job{number}" not in self.jobs)
        job = {
            "id": f"job{number}", "kind": kind, "state": "queued", "request": request, "created": time.time(),
            "started": None, "finished": None, "position": None, "attempts": 0, "error": None, "remedy": None,
            "warnings": [], "items": [], "progress": None, "origin": "page",
        }  # fmt: skip
        self.jobs[job["id"]] = job
        self.wake.set()
        self.told(job)
        return job

    def waiting(self) -> list[dict[str, Any]]:
        return [job for job in self.jobs.values() if job["state"] == "queued"]

    def told(self, job: dict[str, Any]) -> None:
        """Places in the queue are counted anew; the job, and all that wait, are told."""
        for place, other in enumerate(self.waiting()):
            other["position"] = place
        if job["state"] != "queued":
            job["position"] = None
        self.write()
        for other in [job, *(one for one in self.waiting() if one is not job)]:
            self.say("job", other)

    def say(self, event: str, value: Any) -> None:
        for listener in self.listeners:
            listener.put_nowait((event, value))
