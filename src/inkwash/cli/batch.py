"""Many pictures, one order each: what goes wrong with one is told and does not stop the others."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from PIL.Image import Image

from inkwash.cli.drawing import Drawer, Order, drawn, report, told
from inkwash.cli.orders import engine_of, order_of
from inkwash.cli.saving import Saved
from inkwash.cli.terminal import say, short, show_error
from inkwash.core import fingerprints, images, limits, settings, sources
from inkwash.core.errors import InkwashError, InvalidRequest
from inkwash.core.request import GenerateRequest, Result

RequestOf = Callable[[Path], GenerateRequest]
FOLDER = "img2img-images"  # as A1111 calls it


@dataclass
class Outcome:
    """What came of the pictures so far.  errors: picture, words."""

    saved: list[Saved] = field(default_factory=list)
    errors: list[tuple[Path, InkwashError]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    cancelled: bool = False


@dataclass(frozen=True)
class Batch:
    """flags: of the command.  loops: see ``img2img``."""

    context: typer.Context
    flags: dict[str, Any]
    loops: int = 1

    def run(self, picture: Path, request_of: RequestOf) -> int:
        """Draw from one picture, or from each of a folder.  Returns the exit status.  Raises InkwashError."""
        if not 1 <= self.loops <= 1000:
            raise InvalidRequest(f"--loopback is {self.loops}; it must lie between 1 and 1000.", "Try 4.")
        started, here = time.monotonic(), settings.load()
        if not picture.is_dir():
            return self._one(picture, request_of, here, started)
        outcome = Outcome()
        paths = pictures_in(picture)
        engine: Drawer | None = None
        for number, path in enumerate(paths, 1):
            say(f"{number}/{len(paths)}: {short(path)}")
            try:
                order = self._order(request_of(path), here)
                engine = engine or engine_of(self.context, self.flags, here)
                self._draw(order, engine, here, outcome)
            except InkwashError as error:
                show_error(error)
                outcome.errors.append((path, error))
            if outcome.cancelled:
                break
        self._report(outcome, started)
        return 130 if outcome.cancelled else int(bool(outcome.errors))

    def _one(self, picture: Path, request_of: RequestOf, here: settings.Settings, started: float) -> int:
        outcome = Outcome()
        order = dataclasses.replace(self._order(request_of(picture), here), started=started)
        result = self._draw(order, engine_of(self.context, self.flags, here), here, outcome)
        report(order, outcome.saved, result)
        return 130 if outcome.cancelled else 0

    def _order(self, request: GenerateRequest, here: settings.Settings) -> Order:
        return order_of(limits.check(request, here.limits), self.flags, here, FOLDER)

    def _draw(self, order: Order, engine: Drawer, here: settings.Settings, outcome: Outcome) -> Result | None:
        """The order, and its loops: each from the last picture before, with the next seed."""
        for loop in range(self.loops):
            if self.flags["keep_source"]:
                keep_sources(order.request, here)
            saved, result = drawn(order, engine)
            outcome.saved += saved
            if result is None:
                outcome.cancelled = True
                return None
            outcome.warnings += [warning for warning in result.warnings if warning not in outcome.warnings]
            if loop + 1 < self.loops:
                order = dataclasses.replace(order, request=self._next(order.request, result))
        return result

    def _next(self, request: GenerateRequest, result: Result) -> GenerateRequest:
        last: Image = result.images[-1]
        return dataclasses.replace(request, init_image=last, seed=result.seeds[-1] + 1, width=None, height=None)

    def _report(self, outcome: Outcome, started: float) -> None:
        seconds = round(time.monotonic() - started, 3)
        if self.flags["as_json"]:
            errors = [{"picture": str(path), "error": str(error)} for path, error in outcome.errors]
            answer = told(outcome.saved, seconds, outcome.warnings, outcome.cancelled) | {"errors": errors}
            print(json.dumps(answer, ensure_ascii=False))
            return
        for picture in outcome.saved:
            print(f"Saved to {short(picture.path)}")
        say(f"{len(outcome.saved)} pictures in {seconds:.1f} s." + "  Stopped." * outcome.cancelled)
        for path, error in outcome.errors:
            say(f"not drawn: {short(path)}: {error.message}")


def pictures_in(folder: Path) -> list[Path]:
    """Raises InvalidRequest if there are none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in images.READABLE)
    if not paths:
        raise InvalidRequest(f"There are no pictures in {folder}.", f"Put {', '.join(images.READABLE)} files there.")
    return paths


def keep_sources(request: GenerateRequest, here: settings.Settings) -> None:
    """So that ``inspect`` finds what a picture was made from, wherever the original goes.  Raises CannotWrite."""
    for name in fingerprints.KEYS.values():
        if (image := getattr(request, name)) is not None:
            sources.keep(image, here.outputs_dir / sources.KEPT)
