"""Finished pictures into files with names nobody has yet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from inkwash.cli.step_pictures import StepPictures
from inkwash.core import files, images, infotext, naming
from inkwash.core.progress import Drawn


@dataclass(frozen=True)
class Saved:
    """A picture on disk.  index: its place in the request.  steps: the folder of its step pictures."""

    index: int
    path: Path
    seed: int
    infotext: str
    steps: Path | None = None

    def with_steps(self, steps: Path) -> Saved:
        return replace(self, steps=steps)


@dataclass(frozen=True)
class Saver:
    """folder: where pictures go.  name: an exact file name the person asked for, else names follow the pattern."""

    folder: Path
    pattern: str
    format: str
    quality: int
    when: datetime
    name: str | None = None

    def save(self, drawn: Drawn) -> Saved:
        """Write the picture under its final name.  Raises CannotWrite."""
        data = images.encode(drawn.picture, drawn.infotext, self.format, self.quality)
        if self.name is not None:
            path = self.folder / _numbered(self.name, drawn)
            files.write(path, data)
        else:
            path = self._save_new(drawn, data)
        return Saved(drawn.image, path, drawn.seed, drawn.infotext)

    def _save_new(self, drawn: Drawn, data: bytes) -> Path:
        """Take the first free number; another process may be saving into the same folder."""
        facts = self._facts(drawn)
        suffix = images.SUFFIXES[self.format]
        number = naming.next_number(self.folder)
        attempt = 0
        while True:
            stem = naming.name(self.pattern, facts, number + attempt)
            if attempt and "[number]" not in self.pattern:
                stem = f"{stem}-{attempt}"
            path = self.folder / f"{stem}{suffix}"
            if files.write_new(path, data):
                return path
            attempt += 1

    def _facts(self, drawn: Drawn) -> naming.Facts:
        """The picture's own text knows what was left open in the request: size, model, variation seed."""
        parsed = infotext.parse(drawn.infotext)
        request = infotext.to_request(parsed)
        return naming.Facts(
            request=request,
            seed=drawn.seed,
            subseed=request.subseed,
            index=drawn.image,
            when=self.when,
            model_name=parsed.get("Model", ""),
            model_hash=parsed.get("Model hash", ""),
        )

    @contextlib.contextmanager
    def steps_folder(self, wanted: bool) -> Iterator[StepPictures | None]:
        """Somewhere to put step pictures while their picture has no name yet; what is unfinished is removed."""
        if not wanted:
            yield None
            return
        steps = StepPictures(self.folder)
        try:
            yield steps
        finally:
            steps.remove_unfinished()


def _numbered(name: str, drawn: Drawn) -> str:
    """cat.png; with several pictures cat-1.png, cat-2.png, ..."""
    path = Path(name)
    return name if drawn.images == 1 else f"{path.stem}-{drawn.image + 1}{path.suffix}"
