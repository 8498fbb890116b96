"""A worker without torch: plain pictures, decided by seed and prompt alone, drawn in a blink.

Run as ``python tests/support/fake_worker.py SETUP``.  Words of a prompt make it misbehave: "crash" ends the process by
a signal, "hang" never returns from a step, "broken" fails, "memory" runs out of it when not alone, "slow" takes 50 ms
a step.  Jobs of kind "explain" bring one JSON item.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from inkwash.core import infotext
from inkwash.core.errors import Enough, InkwashError, OutOfMemory
from inkwash.core.progress import Decoding, Drawn, Started, Step
from inkwash.core.request import GenerateRequest
from inkwash.jobs.bench import RemoteBench
from inkwash.jobs.inbox import Will
from inkwash.jobs.protocol import Bench, Glimpse, Lease
from inkwash.jobs.telling import Teller
from inkwash.jobs.worker import work


def picture_of(request: Mapping[str, Any], index: int) -> Image.Image:
    """One colour, and a pixel that tells the index."""
    seed, prompt = int(request.get("seed", 0)) + index, str(request.get("prompt", ""))
    digest = hashlib.sha256(f"{seed} {prompt}".encode()).digest()
    scale = (request.get("hires") or {}).get("scale", 1)
    size = [int((request.get(side) or 32) * scale) for side in ("width", "height")]
    image = Image.new("RGB", (size[0], size[1]), tuple(digest[:3]))
    image.putpixel((0, 0), (index, 0, 0))
    return image


def text_of(request: Mapping[str, Any], index: int) -> str:
    known = GenerateRequest(
        prompt=request.get("prompt", ""), negative_prompt=request.get("negative_prompt", ""),
        width=request.get("width") or 32, height=request.get("height") or 32, steps=request.get("steps", 4),
    )  # fmt: skip
    return infotext.write(known, seed=int(request.get("seed", 0)) + index, model_name="fake")


@dataclass
class Picturing:
    """A job under way."""

    lease: Lease
    teller: Teller
    picture: int = 0
    step: int = 0

    @property
    def request(self) -> Mapping[str, Any]:
        return self.lease.request

    @property
    def pictures(self) -> int:
        return int(self.request.get("batch_size", 1)) * int(self.request.get("batch_count", 1))

    def misbehave(self, alone: bool) -> None:
        words = str(self.request.get("prompt", "")).split()
        if "slow" in words:
            time.sleep(0.05)
        if "crash" in words and self.step == 2:
            os.kill(os.getpid(), signal.SIGABRT)
        while "hang" in words:
            time.sleep(1)
        if "broken" in words:
            raise ValueError("a defect")
        if "memory" in words and not alone:
            raise OutOfMemory("Too little memory.", "Try less.")

    def advance(self, alone: bool) -> bool:
        """One step; whether that was the last."""
        self.misbehave(alone)
        steps = int(self.request.get("steps", 4))
        if self.step == 0 and self.picture == 0:
            self.teller(Started(self.pictures, steps, (1.0, 0.0)))
        self.step += 1
        if self.step <= steps:
            image = picture_of(self.request, self.picture)
            try:
                self.teller(Step(self.picture, self.pictures, self.step, steps, 1.0, None, None, lambda: image))  # type: ignore[arg-type]
            except Enough:
                return self.put_away(ended_at=self.step)
            return False
        return self.put_away()

    def put_away(self, ended_at: int | None = None) -> bool:
        """Bring the picture; whether it was the last one wanted."""
        self.teller(Decoding(self.picture, self.pictures))
        seed = int(self.request.get("seed", 0)) + self.picture
        image, text = picture_of(self.request, self.picture), text_of(self.request, self.picture)
        self.teller(Drawn(self.picture, self.pictures, image, text, seed, ended_at))
        self.picture, self.step = self.picture + 1, 0
        while self.picture < self.pictures and not self.teller.wanted(self.picture):
            self.picture += 1
        return self.picture == self.pictures


@dataclass(frozen=True)
class Over:
    ticket: int
    value: Any = ()
    error: Exception | None = None


@dataclass
class FakeEasel:
    """Implements ``drawing.Easel``.  Pictures of one model, by name, beside one another."""

    bench: Bench
    glimpse: Callable[[Glimpse], None]
    jobs: dict[int, Picturing] = field(default_factory=dict)
    begun: int = 0
    model: str = ""

    def __len__(self) -> int:
        return len(self.jobs)

    def fits(self, lease: Lease) -> bool:
        return not self.jobs or (lease.request.get("model") or "") == self.model

    def add(self, lease: Lease, will: Will) -> int:
        if lease.request.get("model") == "missing":
            raise InkwashError("There is no model 'missing'.", "Choose another.")
        self.begun += 1
        self.model = lease.request.get("model") or ""
        teller = Teller(lease, self.bench, self.glimpse, will)
        teller.preview = lambda step, seconds: step.preview()
        self.jobs[self.begun] = Picturing(lease, teller)
        return self.begun

    def cancel(self, ticket: int) -> None:
        self.jobs.pop(ticket, None)

    def step(self) -> Sequence[Over]:
        over = []
        for ticket, job in list(self.jobs.items()):
            try:
                if job.lease.kind == "explain":
                    self.bench.keep(job.lease, "trace", "application/json", json.dumps({"tokens": []}).encode(), {})
                elif not job.advance(alone=len(self.jobs) == 1):
                    continue
                over.append(Over(ticket, ["drawn by nobody"]))
            except Exception as error:
                over.append(Over(ticket, error=error))
            self.jobs.pop(ticket, None)
        return over

    def load(self, model: str | None) -> None:
        self.model = model or ""

    def unload(self) -> None:
        self.model = "unloaded"

    def clear(self) -> None:
        pass

    def facts(self) -> Mapping[str, Any]:
        return {"model": self.model or "fake", "device": "cpu", "dtype": "float32", "seconds_per_step": 0.001}


def make(bench: RemoteBench, setup: dict[str, Any]) -> FakeEasel:
    return FakeEasel(bench, bench.glimpse)


if __name__ == "__main__":
    work(make)
