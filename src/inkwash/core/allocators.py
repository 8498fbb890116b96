"""How the libraries under PyTorch ask for memory; must be settled before it is imported."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import MutableMapping

CUDA = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""What PyTorch reads; the second is its older name."""

EXPANDABLE = "expandable_segments:True"
"""A GPU's memory in pieces that can grow, so that pictures of many sizes leave no holes."""

ARENAS = "MALLOC_ARENA_MAX"
M_ARENA_MAX = -8  # glibc's number for it

FEW = 2
"""Pools that glibc keeps freed memory in; it would have eight for every core."""


def prepare(environ: MutableMapping[str, str] | None = None) -> None:
    """Choose what wastes least; whatever the person has set stays as it is.  Does nothing but on Linux."""
    environ = os.environ if environ is None else environ
    if sys.platform != "linux":
        return
    if not any(name in environ for name in CUDA):
        environ[CUDA[0]] = EXPANDABLE
    if ARENAS not in environ:
        environ[ARENAS] = str(FEW)  # for processes that are started from here
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt is not None:
            mallopt(M_ARENA_MAX, FEW)
