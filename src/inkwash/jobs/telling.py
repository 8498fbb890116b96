"""One job's progress -> pictures kept and glimpses told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from inkwash.core import images, infotext
from inkwash.core.errors import Cancelled
from inkwash.core.progress import Decoding, Drawn, Enlarging, Event, Loading, Started, Step
from inkwash.jobs.protocol import Bench, Glimpse, Lease

PREVIEW_EVERY = 0.25
"""Seconds between two previews of a job; more often nobody sees."""


class Preview(Protocol):
    """A small picture of what the model believes at a step; ``generation.preview.Known.preview``."""

    def __call__(self, step: Step, seconds: float, /) -> Image.Image:
        """seconds: what a step takes at present."""
        ...


@dataclass(frozen=True)
class Format:
    """How pictures are written."""

    format: str
    quality: int

    @property
    def media(self) -> str:
        return f"image/{self.format}"


class Teller:
    """The ``Progress`` of one job.  Raises Cancelled in the drawing when ``stopped`` says so."""

    def __init__(
        self,
        lease: Lease,
        bench: Bench,
        glimpse: Callable[[Glimpse], None],
        stopped: Callable[[], bool],
        format: Format,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lease = lease
        self.bench = bench
        self.glimpse = glimpse
        self.preview: Preview | None = None  # set when the model is there
        self.stopped = stopped
        self.format = format
        self.clock = clock
        self.seconds_per_step: float | None = None  # of this job, by the clock: neighbours count
        self._started = clock()
        self._previewed = 0.0
        self._pictures = 1
        self._steps = 0
        self._done: dict[int, float] = {}  # picture -> fraction

    def __call__(self, event: Event) -> None:
        if self.stopped():
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

    def _keep(self, drawn: Drawn) -> None:
        data = images.encode(drawn.picture, drawn.infotext, self.format.format, self.format.quality)
        facts = {
            "seed": drawn.seed,
            "subseed": infotext.to_request(infotext.parse(drawn.infotext)).subseed,
            "infotext": drawn.infotext,
            "index": drawn.image,
            "width": drawn.picture.width,
            "height": drawn.picture.height,
        }
        self.bench.keep(self.lease, str(drawn.image), self.format.media, data, facts)
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
