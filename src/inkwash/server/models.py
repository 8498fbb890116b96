"""What is to be said of a model file, read from its header once and remembered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from inkwash.checkpoint.catalog import BOX, Catalog, Entry
from inkwash.checkpoint.detect import detect
from inkwash.checkpoint.hashes import short_hash
from inkwash.checkpoint.regular import opened
from inkwash.checkpoint.spec import ModelSpec
from inkwash.core.errors import InkwashError
from inkwash.server.context import Context

SMALL = 2**26  # bytes; hashes of smaller files are computed when they are listed


@dataclass(frozen=True)
class Described:
    """spec: None where the file cannot be drawn with; note: its maker's words, or why not.  picture: beside it."""

    entry: Entry
    size: int  # bytes; 0 for folders
    box: bool
    spec: ModelSpec | None
    note: str
    picture: Path | None = None

    @property
    def hash(self) -> str | None:
        return short_hash(self.entry.sha256) if self.entry.sha256 else None


def described(context: Context) -> list[Described]:
    return describe_all(context.catalog)


def describe_all(catalog: Catalog) -> list[Described]:
    """Every model of the catalog; hashes of small files that were not known are written down once, at the end."""
    found = [describe(catalog, entry, save=False) for entry in catalog.entries("model")]
    catalog.hashes.save()
    return found


def describe(catalog: Catalog, entry: Entry, *, save: bool = True) -> Described:
    path = entry.path
    size = path.stat().st_size if path.is_file() else 0
    if 0 < size < SMALL:
        entry = catalog.with_hash(entry, save=save)
    spec, note = _read(path, path.stat().st_mtime_ns, size)
    return Described(entry, size, path.is_relative_to(BOX), spec, note, catalog.picture(entry))


STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")


def is_picture(path: Path) -> bool:
    """Whether a file begins as a PNG, JPEG or WebP does, whatever it is called."""
    try:
        with opened(path) as (file, _):
            start = file.read(12)
    except InkwashError:
        return False
    return start.startswith(STARTS) and (not start.startswith(b"RIFF") or start.endswith(b"WEBP"))


@lru_cache(maxsize=10_000)
def _read(path: Path, changed: int, size: int) -> tuple[ModelSpec | None, str]:
    """changed, size: so that a file that was replaced is read anew."""
    try:
        spec = detect(path)
    except InkwashError as error:
        return None, str(error)
    return spec, spec.note
