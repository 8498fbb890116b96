"""Progress on the terminal: step, speed and time left; sparse plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from inkwash.cli.terminal import harmless
from inkwash.core.progress import Decoding, Enlarging, Event, Loading, Started, Step

QUIET_SECONDS = 10.0  # between two lines where there is no terminal


class Speed(ProgressColumn):
    """1.93 it/s, or 3.20 s/it when slower than one a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:.2f} it/s" if speed >= 1 else f"{1 / speed:.2f} s/it")


class Display:
    """Shows events while a request is drawn.  It leaves nothing on the terminal behind."""

    def __init__(self) -> None:
        self.console = Console(file=sys.stderr)
        self.live = self.console.is_terminal
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[step]}"),
            Speed(),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
            disable=not self.live,
        )
        self.task = self.progress.add_task("Starting", total=None, step="")
        self.spoken = float("-inf")
        self.began = time.monotonic()

    def __enter__(self) -> Display:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def show(self, event: Event) -> None:
        if isinstance(event, Loading):
            self.progress.update(self.task, description=f"Loading {harmless(event.name)}")
            self._line(f"Loading {harmless(event.name)}", always=True)
        elif isinstance(event, Started):
            self.began = time.monotonic()
            self.progress.reset(self.task, total=event.images * event.steps, description="Drawing", step="")
        elif isinstance(event, Step):
            self._step(event)
        elif isinstance(event, Decoding):
            self.progress.update(self.task, description=f"{_picture(event.image, event.images)}decoding")
        elif isinstance(event, Enlarging):
            self._enlarging(event)

    def _enlarging(self, event: Enlarging) -> None:
        """In hundredths of a pass, as tiles differ in size."""
        picture = _picture(event.image, event.images)
        self.progress.update(
            self.task, description=f"{picture}enlarging", total=100, completed=round(100 * event.share)
        )
        self._line(f"{picture}enlarging, {event.share:.0%}")

    def _step(self, event: Step) -> None:
        picture, step = _picture(event.image, event.images), f"step {event.step}/{event.steps}"
        self.progress.update(self.task, description=f"{picture}drawing", step=step, advance=1)
        seconds = time.monotonic() - self.began
        done = self.progress.tasks[0].completed
        total = self.progress.tasks[0].total or done
        left = seconds / done * (total - done) if done else 0.0
        self._line(f"{picture}{step}, {done / max(seconds, 1e-9):.2f} it/s, about {left:.0f} s left")

    def _line(self, text: str, *, always: bool = False) -> None:
        now = time.monotonic()
        if not self.live and (always or now - self.spoken >= QUIET_SECONDS):
            print(text, file=sys.stderr, flush=True)
            self.spoken = now


def _picture(image: int, images: int) -> str:
    return f"picture {image + 1}/{images}: " if images > 1 else ""
