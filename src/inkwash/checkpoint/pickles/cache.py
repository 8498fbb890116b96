"""Pickled checkpoints are rewritten once; the safetensors file is kept under the SHA-256 of the original."""

from __future__ import annotations

import os
from pathlib import Path

from inkwash.checkpoint.hashes import HashCache
from inkwash.checkpoint.pickles.process import rewrite_file
from inkwash.checkpoint.regular import PICKLE_SUFFIXES, foreign_format, opened
from inkwash.core import settings

VERSION = 1  # of what the reader makes of a file; a new number makes all files be read again
START = 64  # bytes that tell formats apart


def is_pickle(path: Path) -> bool:
    """Is ``path`` by its name a file that PyTorch may have pickled, and not safetensors by its content?

    A pickle under another name is not read: who renames one hides it.
    """
    if path.suffix.lower() not in PICKLE_SUFFIXES:
        return False
    with opened(path) as (file, size):
        start = file.read(START)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8:
        return False
    foreign_format(path, start)
    return True


def converted(path: Path) -> Path:
    """The safetensors file with the tensors of the pickled checkpoint at ``path``, made now if need be."""
    folder = settings.cache_folder()
    digest = HashCache(folder / "hashes.json").sha256(path)
    target = folder / f"converted-{VERSION}" / f"{digest}.safetensors"
    if not os.path.isfile(target):
        rewrite_file(path, target)
    return target
