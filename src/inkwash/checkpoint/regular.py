"""Opening a path that must be a regular file, and the words for one that is not what its name says."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from inkwash.core.errors import DamagedFile, InkwashError, ModelNotFound

DOWNLOAD_AGAIN = "Download or copy the file again and compare its size or SHA-256 with the source."
PICKLE_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin")


def damaged(path: Path, reason: str, remedy: str = DOWNLOAD_AGAIN) -> DamagedFile:
    """The error for a file whose bytes contradict its format; ``reason`` continues "was refused: "."""
    return DamagedFile(f"{path} was refused: {reason}.", remedy)


@contextmanager
def opened(path: Path) -> Iterator[tuple[BufferedReader, int]]:
    """The regular file at ``path`` (through symlinks), open for reading, and its size in bytes.

    Never waits: a FIFO is refused, not read.  Raises ModelNotFound, DamagedFile, or InkwashError when unreadable.
    """
    try:
        _refuse_irregular(path, path.stat().st_mode)  # before opening: opening a device can have effects
        file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115  closed below, outside this try
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, error) from None
    with file:
        status = os.fstat(file.fileno())
        _refuse_irregular(path, status.st_mode)  # again: the path may have been replaced in between
        try:
            yield file, status.st_size
        except OSError as error:  # a failing disk, too little address space to map the file
            raise _unreadable(path, error) from error


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has no O_NONBLOCK


def _refuse_irregular(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    what = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"
    raise damaged(path, f"it is {what}, not a file", "Give the path of a .safetensors file.")


def _unreadable(path: Path, error: OSError | ValueError) -> InkwashError:
    reason = error.strerror if isinstance(error, OSError) else error
    return InkwashError(f"{path} cannot be read: {reason}.", "Check the path, its permissions and the disk.")


def _missing(path: Path) -> ModelNotFound:
    if path.is_symlink():
        message = f"{path} is a link to {os.readlink(path)}, which does not exist."
        return ModelNotFound(message, "Restore the file it points to, or remove the link.")
    return ModelNotFound(f"{path} does not exist.", "Check the path.")


def foreign_format(path: Path, start: bytes) -> None:
    """Raises if ``start``, the first bytes of a file that is no sound safetensors file, betrays another format."""
    text = start.lstrip().lower()
    zipped, pickled = start.startswith((b"PK\x03\x04", b"PK\x05\x06")), re.match(rb"\x80[\x02-\x05]", start)
    if (zipped or pickled) and path.suffix.lower() not in PICKLE_SUFFIXES:
        reason = "it is a pickle or zip file, not safetensors; loading such a file can run programs"
        raise damaged(path, reason, "Do not trust its source; get a real .safetensors file.")
    if text.startswith(b"version https://git-lfs"):
        raise damaged(path, "it is a Git LFS pointer, not the model itself", "Fetch the real file with: git lfs pull")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise damaged(
            path, "it is a web page, not a model", "Download the file itself; the site may ask you to log in."
        )
