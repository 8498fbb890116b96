"""Hashes that pictures and sites name a model by, remembered so that a 4 GB file is read for them only once."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from inkwash.checkpoint.regular import opened
from inkwash.core import files

SHORT = 10  # hex digits of SHA-256 in A1111's titles and infotexts; Civitai calls the same digits AutoV2
OLD_START, OLD_LENGTH, OLD_DIGITS = 0x100000, 0x10000, 8


def sha256(path: Path) -> str:
    """64 hex digits of the whole file's SHA-256."""
    with opened(path) as (file, _):
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_hash(sha256: str) -> str:
    """A1111's model hash, 10 hex digits."""
    return sha256[:SHORT].lower()


def auto_v2(sha256: str) -> str:
    """Civitai's AutoV2: the short hash in capitals."""
    return short_hash(sha256).upper()


def old_hash(path: Path) -> str:
    """The 8 digits that A1111 wrote before December 2022: of 64 KiB at 1 MiB.  Different models can share them."""
    with opened(path) as (file, _):
        file.seek(OLD_START)
        return hashlib.sha256(file.read(OLD_LENGTH)).hexdigest()[:OLD_DIGITS]


def kohya_hash(path: Path) -> str:
    """SHA-256 of a .safetensors file's tensors alone, kohya's ``sshs_model_hash``; Civitai's AutoV3 is its start.

    Unlike the others it stays when a file's metadata is edited.
    """
    with opened(path) as (file, _):
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class _Known:
    size: int
    mtime_ns: int
    sha256: str


class HashCache:
    """SHA-256 by path, size and modification time, in a JSON file that may be deleted at any time.

    ``file`` None keeps them in memory only.  Processes may share the file: it is replaced whole, and the worst that a
    race can cost is that a hash is computed again.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known = _load(file) if file else {}
        self._unsaved = False

    def known(self, path: Path) -> str | None:
        """The file's SHA-256 if it was computed before and the file has not changed since."""
        try:
            key, size, mtime_ns = _identity(path)
        except OSError:
            return None
        entry = self._known.get(key)
        return entry.sha256 if entry and (entry.size, entry.mtime_ns) == (size, mtime_ns) else None

    def sha256(self, path: Path, *, save: bool = True) -> str:
        """The file's SHA-256, computed if need be (about 2 s a GB).  save: write the new hash down at once."""
        if known := self.known(path):
            return known
        with opened(path) as (file, _):  # a clear error for a file that is gone
            status = os.fstat(file.fileno())  # before reading: a file changed meanwhile will not match
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._known[os.path.realpath(path)] = _Known(status.st_size, status.st_mtime_ns, digest)
        self._unsaved = True
        if save:
            self.save()
        return digest

    def save(self) -> None:
        """Write down what is new.  Raises CannotWrite."""
        if self._file and self._unsaved:
            self._unsaved = False
            self._known = _load(self._file) | self._known
            _save(self._file, dict(self._known))


def _identity(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return os.path.realpath(path), status.st_size, status.st_mtime_ns


def _load(file: Path) -> dict[str, _Known]:
    """What the cache holds; nothing if it is absent or damaged, for all of it can be computed again."""
    try:
        entries = json.loads(file.read_bytes())
        return {path: _Known(int(size), int(time), str(digest)) for path, (size, time, digest) in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _save(file: Path, known: dict[str, _Known]) -> None:
    entries = {path: [entry.size, entry.mtime_ns, entry.sha256] for path, entry in sorted(known.items())}
    files.write(file, json.dumps(entries, indent=0).encode())
