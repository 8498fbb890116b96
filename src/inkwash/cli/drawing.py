"""One order from the command line: draw, save each picture as soon as it is finished, tell the person."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from inkwash.cli.display import Display
from inkwash.cli.saving import Saved, Saver
from inkwash.cli.step_pictures import StepPictures
from inkwash.cli.terminal import harmless, say, short
from inkwash.core.errors import Cancelled
from inkwash.core.progress import Drawn, Event, Progress, Started, Step
from inkwash.core.request import GenerateRequest, Result
from inkwash.core.settings import Memory

if TYPE_CHECKING:
    from PIL.Image import Image

    from inkwash.core.extras import Extras


class Drawer(Protocol):
    """The part of ``inkwash.Engine`` that is used here."""

    def generate(self, request: GenerateRequest, progress: Progress | None = None) -> Result: ...

    def generate_all(self, requests: Sequence[GenerateRequest], progress: Progress | None = None) -> list[Result]: ...

    def enlarge(self, extras: Extras, progress: Progress | None = None) -> tuple[Image, str, list[str]]: ...


class OpenEngine(Protocol):
    """How an engine is had: ``open_engine``, or a test's own."""

    def __call__(
        self, models_dir: Path | None, device: str | None, dtype: str | None, memory: Memory | None = None
    ) -> Drawer: ...


def open_engine(
    models_dir: Path | None, device: str | None, dtype: str | None, memory: Memory | None = None
) -> Drawer:  # fmt: skip
    """The real engine; this is where torch is imported."""
    from inkwash.generation.engine import Engine

    return Engine(models_dir=models_dir, device=device, dtype=dtype, memory=memory)


@dataclass(frozen=True)
class Order:
    """What was asked for on the command line, checked.  started: ``time.monotonic()`` when the command began."""

    request: GenerateRequest
    saver: Saver
    save_steps: bool = False
    as_json: bool = False
    started: float = field(default_factory=time.monotonic)


def draw(order: Order, engine: Drawer) -> int:
    """Draw the order's pictures, say where they are and return the exit status.  Raises InkwashError."""
    saved, result = drawn(order, engine)
    report(order, saved, result)
    return 0 if result is not None else 130


def drawn(order: Order, engine: Drawer) -> tuple[list[Saved], Result | None]:
    """The finished pictures, each saved as soon as it was; None if the person stopped it.  Raises InkwashError."""
    saved: list[Saved] = []
    with order.saver.steps_folder(order.save_steps) as steps, Display() as display, stopping() as stop:

        def progress(event: Event) -> None:
            display.show(event)
            _keep(event, order, steps, saved)
            if stop.is_set():
                raise Cancelled()

        try:
            return saved, engine.generate(order.request, progress)
        except Cancelled:
            return saved, None


def watched(request: GenerateRequest, engine: Drawer) -> Result | None:
    """Pictures that are only a step on the way: shown while they are drawn, not saved.  None if the person stopped."""
    with Display() as display, stopping() as stop:

        def progress(event: Event) -> None:
            display.show(event)
            if stop.is_set():
                raise Cancelled()

        try:
            return engine.generate(request, progress)
        except Cancelled:
            return None


def drawn_together(
    order: Order, requests: Sequence[GenerateRequest], engine: Drawer
) -> tuple[list[Saved], list[Result] | None]:
    """``drawn`` for many requests, whose calls are shared where they may be; order: how they are saved.

    Pictures are saved in the requests' order, so that their numbers follow it; one that is finished early waits.
    """
    saved: list[Saved] = []
    waiting: dict[int, Drawn] = {}
    with Display() as display, stopping() as stop:

        def progress(event: Event) -> None:
            display.show(event)
            if isinstance(event, Drawn):
                waiting[event.image] = event
                while (following := waiting.pop(len(saved), None)) is not None:
                    saved.append(order.saver.save(following))
            if stop.is_set():
                raise Cancelled()

        try:
            return saved, engine.generate_all(requests, progress)
        except Cancelled:
            return saved, None
        finally:
            saved += [order.saver.save(late) for _, late in sorted(waiting.items())]


def _keep(event: Event, order: Order, steps: StepPictures | None, saved: list[Saved]) -> None:
    """Write what an event brings."""
    if isinstance(event, Drawn):
        picture = order.saver.save(event)
        if steps is not None:
            picture = picture.with_steps(steps.finish(event.image, picture.path))
        saved.append(picture)
    elif steps is not None and isinstance(event, Started):
        steps.begin(event.sigmas)
    elif steps is not None and isinstance(event, Step):
        steps.add(event)


@contextlib.contextmanager
def stopping() -> Iterator[threading.Event]:
    """The first Ctrl-C asks to stop within one step, a second one stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def interrupted(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def told(saved: Sequence[Saved], seconds: float, warnings: list[str], cancelled: bool) -> dict[str, Any]:
    """What --json prints."""
    return {
        "files": [str(picture.path) for picture in saved],
        "seeds": [picture.seed for picture in saved],
        "infotexts": [picture.infotext for picture in saved],
        "seconds": seconds,
        "steps": [str(picture.steps) for picture in saved if picture.steps is not None],
        "warnings": warnings,
        "cancelled": cancelled,
    }


def report(order: Order, saved: list[Saved], result: Result | None) -> None:
    """Where the pictures are; with --json one object on standard output, nothing else."""
    saved = sorted(saved, key=lambda picture: picture.index)
    seconds = round(time.monotonic() - order.started, 3)
    for warning in result.warnings if result is not None else ():
        say(f"note: {harmless(warning)}")
    if order.as_json:
        answer = told(saved, seconds, list(result.warnings) if result is not None else [], result is None)
        print(json.dumps(answer, ensure_ascii=False))
        return
    for picture in saved:
        print(f"Saved to {short(picture.path)}")
        if picture.steps is not None:
            print(f"  its steps and noise schedule: {short(picture.steps)}")
    if result is None:
        wanted = order.request.batch_count * order.request.batch_size
        say(f"Stopped.  {len(saved)} of {wanted} pictures were finished and saved.")
    elif saved:
        say(f"{len(saved)} picture{'s' if len(saved) > 1 else ''} in {seconds:.1f} s.  "
            f"How it was drawn: inkwash inspect {short(saved[0].path)}")  # fmt: skip
