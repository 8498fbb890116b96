"""One job's progress -> pictures kept and glimpses told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from PIL import Image

from inkwash.core import images, infotext
from inkwash.core.errors import Cancelled, Enough
from inkwash.core.progress import Decoding, Drawn, Enlarging, Event, Loading, Started, Step
from inkwash.jobs.inbox import Will
from inkwash.jobs.protocol import Bench, Glimpse, Lease

PREVIEW_EVERY = 0.25
"""Seconds between two previews of a job; more often nobody sees."""


class Preview(Protocol):
    """A small picture of what the model believes at a step; ``generation.preview.Known.preview``."""

    def __call__(self, step: Step, seconds: float, /) -> Image.Image:
        """seconds: what a step takes at present."""
        ...


class Teller:
    """The ``Progress`` of one job.  Raises Cancelled in the drawing, and Enough, when ``will`` says so."""

    def __init__(
        self,
        lease: Lease,
        bench: Bench,
        glimpse: Callable[[Glimpse], None],
        will: Will,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lease = lease
        self.bench = bench
        self.glimpse = glimpse
        self.preview: Preview | None = None  # set when the model is there
        self.will = will
        self.clock = clock
        self.seconds_per_step: float | None = None  # of this job, by the clock: neighbours count
        self._started = clock()
        self._previewed = 0.0
        self._pictures = 1
        self._steps = 0
        self._done: dict[int, float] = {}  # picture -> fraction
        self._skips = 0  # orders to skip that were obeyed
        self._skipped: int | None = None  # the batch that is being ended

    def __call__(self, event: Event) -> None:
        if self.will.cancelled():
            raise Cancelled()
        match event:
            case Loading():
                self._tell(0, 0, 0.0, "loading")
            case Started():
                self._started, self._pictures, self._steps = self.clock(), event.images, event.steps
                self._tell(0, 0, event.sigmas[0], "drawing")
            case Step():
                self._step(event)
            case Decoding():
                self._tell(event.image, self._steps, 0.0, "decoding")
            case Enlarging():
                self._pictures, self._done[event.image] = event.images, event.share
                self._tell(event.image, 0, 0.0, "drawing")
            case Drawn():
                self._keep(event)

    def _step(self, event: Step) -> None:
        self._done[event.image] = event.step / (event.steps + 1)  # the decoding counts as one more
        now = self.clock()
        self.seconds_per_step = (now - self._started) / max(1.0, sum(self._done.values()) * (event.steps + 1))
        preview = None
        if self.preview is not None and now - self._previewed >= PREVIEW_EVERY:
            preview = images.encode(self.preview(event, self.seconds_per_step), format="webp", quality=75)
            self._previewed = self.clock()
        self._tell(event.image, event.step, event.sigma, "drawing", preview)
        if self._enough(event.image):
            raise Enough()

    def wanted(self, picture: int) -> bool:
        """Whether a picture is to be begun; one of a batch that is skipped, or of an interrupted job, is not."""
        return not self.will.interrupted() and self._batch(picture) != self._skipped

    def _enough(self, picture: int) -> bool:
        """Whether a picture at work is to be ended.  An order to skip means the batch that is met first after it."""
        if self.will.skips() > self._skips:
            self._skips, self._skipped = self.will.skips(), self._batch(picture)
        return not self.wanted(picture)

    def _batch(self, picture: int) -> int:
        return picture // int(self.lease.request.get("batch_size") or 1)

    def _keep(self, drawn: Drawn) -> None:
        data = images.encode(drawn.picture, drawn.infotext, self.lease.format, self.lease.quality)
        facts = {
            "seed": drawn.seed,
            "subseed": infotext.to_request(infotext.parse(drawn.infotext)).subseed,
            "infotext": drawn.infotext,
            "index": drawn.image,
            "width": drawn.picture.width,
            "height": drawn.picture.height,
        }
        if drawn.ended_at is not None:
            facts["ended_at"] = drawn.ended_at
        self.bench.keep(self.lease, str(drawn.image), f"image/{self.lease.format}", data, facts)
        self._done[drawn.image] = 1.0
        self._tell(drawn.image, self._steps, 0.0, "drawing")

    def _tell(self, picture: int, step: int, sigma: float, stage: str, preview: bytes | None = None) -> None:
        fraction = sum(self._done.values()) / self._pictures
        elapsed = self.clock() - self._started
        self.glimpse(
            Glimpse(
                job=self.lease.job,
                picture=picture,
                pictures=self._pictures,
                step=step,
                steps=self._steps,
                sigma=sigma,
                fraction=fraction,
                seconds_left=elapsed * (1 - fraction) / fraction if fraction else None,
                stage=stage,  # type: ignore[arg-type]
                preview=preview,
            )
        )
