"""The process that reads one pickled checkpoint: file on standard input, safetensors out, a JSON answer on error.

It starts without PyTorch and without site-packages, takes limits from the system where the system has them, and then
seals itself: from that point every event that Python audits (opening, importing, executing, connecting, ...) ends it.
Nothing of the reader causes one, so a defect in the reader could still start nothing.
"""

from __future__ import annotations

import codecs
import gc
import json
import mmap
import os
import sys
from collections.abc import Callable
from typing import BinaryIO

from inkwash.checkpoint.pickles.rewrite import rewrite
from inkwash.checkpoint.pickles.values import Refused

EXTRA_MEMORY = 200_000_000  # bytes of address space beyond the start and the mapped file
_HARMLESS = ("sys.excepthook", "sys.unraisablehook")


def main(seconds: int) -> None:
    """Answers {} or {"refused": ..., "remedy": ...} or {"errno": ...} on standard error.  seconds: of CPU time."""
    gc.disable()  # the values end with the process
    with mmap.mmap(sys.stdin.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as data:
        answer = _answer(data, seconds)
        sys.stderr.write(json.dumps(answer))
        sys.stderr.flush()
        os._exit(0)


def _answer(data: memoryview, seconds: int) -> dict[str, object]:
    out: BinaryIO = sys.stdout.buffer
    try:
        preload()
        _limit(len(data), seconds)
        sys.addaudithook(_seal)
        rewrite(data, out)
        out.flush()
    except Refused as refused:
        return {"refused": refused.reason, "remedy": refused.remedy}
    except MemoryError:
        return {"refused": "reading it takes far more memory than its size", "remedy": None}
    except OSError as error:
        return {"errno": error.errno}
    return {}


def _seal(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _HARMLESS:
        os.write(2, json.dumps({"refused": f"reading it would have caused {event}", "remedy": None}).encode())
        os._exit(1)


def preload() -> None:
    """What would otherwise be imported in the middle of the work."""
    for encoding in ("utf-8", "latin-1", "raw-unicode-escape", "ascii"):
        codecs.lookup(encoding)


def _limit(size: int, seconds: int) -> None:
    """CPU time, memory, no further files and processes.  Windows has no such limits; there the clock alone counts."""
    try:
        import resource
    except ImportError:
        return
    set_limit: Callable[[int, tuple[int, int]], None] = resource.setrlimit
    for kind, limit in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, _address_space() + EXTRA_MEMORY),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        try:
            set_limit(kind, (bound, bound))
        except (ValueError, OSError):  # macOS does not take all of them
            continue


def _address_space() -> int:
    """Bytes of address space in use, the mapped file included."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * mmap.PAGESIZE
    except OSError:
        return 2**40
