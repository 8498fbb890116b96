"""A file too large to hold in memory that appears whole or not at all; for small ones see ``inkwash.core.files``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from inkwash.core.files import REMEDIES, CannotWrite


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write under a temporary name beside ``path``; it takes that name, synced to disk, when the block ends.

    If the block raises, ``path`` is left as it was.  A full disk or read-only folder raises CannotWrite.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        why, remedy = REMEDIES.get(error.errno or 0, (error.strerror or str(error), "Choose another folder."))
        raise CannotWrite(f"{path} cannot be written: {why}.", remedy) from error


def _sync_folder(folder: Path) -> None:
    """Makes a rename in ``folder`` survive a power cut.  Windows has no such call and does it by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
