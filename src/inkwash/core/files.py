"""Files appear whole or not at all: a temporary name in the same folder, fsync, then the final name."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from inkwash.core.errors import InkwashError


class CannotWrite(InkwashError):
    """A file could not be written; nothing was left under its name."""


REMEDIES = {
    errno.ENOSPC: ("the disk is full", "Free some space, or choose a folder on another disk."),
    errno.EDQUOT: ("your disk quota is used up", "Free some space, or choose a folder on another disk."),
    errno.EROFS: ("the file system is read-only", "Choose a folder that can be written."),
    errno.EACCES: ("permission is denied", "Choose a folder you own, or change its permissions."),
    errno.EPERM: ("permission is denied", "Choose a folder you own, or change its permissions."),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "Choose another folder."),
    errno.EEXIST: ("something of that name is there already", "Choose another name, or move what is there."),
    errno.EISDIR: ("a folder of that name is there", "Choose another name."),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter name or pattern."),
}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, of any size, that takes ``path``'s place when the block ends, synced to disk.

    If the block raises, ``path`` is left as it was.  Raises CannotWrite.
    """
    with in_words(path), _reserved(path) as temporary:
        with _synced(temporary) as file:
            yield file
        os.replace(temporary, path)
        _sync_folder(path.parent)


@contextlib.contextmanager
def creating(path: Path) -> Iterator[BinaryIO]:
    """Like ``replacing``, for a name nobody has, not even when the block ends.  Raises CannotWrite."""
    with in_words(path), _reserved(path) as temporary:
        if path.exists():
            raise FileExistsError(errno.EEXIST, "exists")
        with _synced(temporary) as file:
            yield file
        if not _name_new(temporary, path):
            raise FileExistsError(errno.EEXIST, "exists")


def write(path: Path, data: bytes) -> None:
    """Put the bytes under the name, replacing what was there.  Raises CannotWrite."""
    with replacing(path) as file:
        file.write(data)


def write_new(path: Path, data: bytes) -> bool:
    """Put the bytes under a name nobody has; False if somebody has it.  Raises CannotWrite."""
    with in_words(path), _reserved(path) as temporary:
        with _synced(temporary) as file:
            file.write(data)
        return _name_new(temporary, path)


def _name_new(temporary: Path, path: Path) -> bool:
    """Give the file a name nobody has; False if somebody has it."""
    try:
        os.link(temporary, path)  # unlike rename, fails when the name is taken
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.exists():
            return False
        os.replace(temporary, path)
    _sync_folder(path.parent)
    return True


SPARE = 2**26
"""Bytes of a disk that stay free."""


def free_space(path: Path) -> int:
    """Bytes that may still be written where ``path`` is or will be."""
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    return max(0, shutil.disk_usage(existing).free - SPARE)


def check_room(path: Path, needed: int) -> None:
    """Raises CannotWrite if so many bytes do not fit where ``path`` will be."""
    free = free_space(path)
    if needed > free:
        message = f"{path.name} needs {needed / 1e9:.2f} GB, and {path.parent} has {free / 1e9:.2f} GB left."
        raise CannotWrite(message, "Free some space, or choose a folder on another disk.")


def make_folder(path: Path) -> None:
    """Make the folder and those above it.  Raises CannotWrite."""
    with in_words(path):
        path.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that gets its name, which must be free, when the block ends; else nothing is left of it.

    Raises CannotWrite.
    """
    with in_words(path):
        if path.exists():
            raise FileExistsError(errno.EEXIST, "exists")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=".", suffix=".part"))
        try:
            os.chmod(temporary, 0o777 & ~umask())
            yield temporary
            os.rename(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _sync_folder(path.parent)


def check_folder(path: Path) -> None:
    """Make the folder and see that a file can be created in it.  Raises CannotWrite."""
    make_folder(path)
    with in_words(path), tempfile.TemporaryFile(dir=path):
        pass


@contextlib.contextmanager
def _reserved(path: Path) -> Iterator[Path]:
    """An empty file beside ``path`` that is gone afterwards unless it was renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    temporary = Path(name)
    try:
        os.close(descriptor)
        os.chmod(temporary, 0o666 & ~umask())  # mkstemp makes private files; pictures are as public as others
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    """The file open for writing; its bytes are on the disk when the block ends."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the system can."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turns an OSError into CannotWrite, which says why ``path`` cannot be written."""
    try:
        yield
    except OSError as error:
        why, remedy = REMEDIES.get(error.errno or 0, (error.strerror or str(error), "Choose another folder."))
        raise CannotWrite(f"{path} cannot be written: {why}.", remedy) from error
