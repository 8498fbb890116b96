"""The pictures that requests start from: kept once under the hash of their pixels, so that a queued job finds them.

A file's time is that of its last use.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from inkwash.core import images, sources
from inkwash.core.errors import InvalidRequest

FOLDER = "blobs"  # of the data folder


@dataclass(frozen=True)
class Blobs:
    """Every file is a PNG written here, whatever was sent: the worker never opens a stranger's own."""

    folder: Path

    @classmethod
    def of(cls, data_dir: Path) -> Blobs:
        return cls(data_dir / FOLDER)

    def keep(self, image: Image.Image) -> str:
        """The hash it is found by, which a drawn picture's text names too.  Raises CannotWrite."""
        return _used(sources.keep(image, self.folder)).stem

    def has(self, digest: str) -> bool:
        return self._path(digest).is_file()

    def find(self, digest: str) -> Image.Image:
        """digest: checked by ``core.wire``.  Raises InvalidRequest if there is no such picture."""
        return images.load(self.file(digest))

    def file(self, digest: str) -> Path:
        """Where it lies.  Raises InvalidRequest if there is no such picture."""
        if not self.has(digest):
            raise InvalidRequest(f"No picture {digest[:12]}... is kept here.", "Send the picture itself, in base64.")
        return _used(self._path(digest))

    def unused_since(self, moment: float) -> list[Path]:
        """Files, uploads of other kinds among them, that nobody asked for after ``moment``, in seconds since 1970."""
        if not self.folder.is_dir():
            return []
        return [path for path in self.folder.iterdir() if _last_use(path) < moment]

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.png"


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # a temporary name that has become the real one meanwhile
        return math.inf


def _used(path: Path) -> Path:
    """The path, its file marked as used now."""
    with contextlib.suppress(OSError):  # of a file that was just taken away; whoever opens it will say so
        os.utime(path)
    return path
