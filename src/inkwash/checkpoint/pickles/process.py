"""Starting the reader's process, waiting for it within bounds, and putting its answer in words."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from inkwash.checkpoint.regular import damaged, opened
from inkwash.core.errors import InkwashError
from inkwash.core.files import replacing

CPU_SECONDS, BYTES_A_SECOND = 2, 50_000_000  # a disk and two checksums are at least that fast
WALL_SECONDS, WALL_BYTES_A_SECOND = 20, 5_000_000  # of the clock, for a machine that is busy
_CODE = """import sys
sys.path.insert(0, sys.argv[1])
from inkwash.checkpoint.pickles import child
child.main(int(sys.argv[2]))"""
_ROOT = Path(__file__).parents[3]


def rewrite_file(path: Path, target: Path) -> None:
    """Writes the tensors of the pickled checkpoint at ``path`` into ``target``, whole or not at all.

    Raises DamagedFile for whatever is broken or could harm; CannotWrite when ``target`` cannot be written.
    """
    with opened(path) as (file, size):
        if size == 0:
            raise damaged(path, "it is empty")
        with replacing(target) as out:
            code, answer = _run(path, file, out, size)
            _judge(path, code, answer)


def _run(path: Path, file: BufferedReader, out: BinaryIO, size: int) -> tuple[int, bytes]:
    """-I -S: no environment variables, no site-packages, nothing of the current folder."""
    arguments = [str(_ROOT), str(CPU_SECONDS + size // BYTES_A_SECOND)]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _CODE, *arguments], stdin=file, stdout=out, stderr=subprocess.PIPE
    )
    try:
        _, answer = process.communicate(timeout=WALL_SECONDS + size // WALL_BYTES_A_SECOND)
    except subprocess.TimeoutExpired:
        raise _too_slow(path) from None
    finally:  # on a timeout, and when the person stops waiting
        process.kill()
        process.wait()
    return process.returncode, answer


def _judge(path: Path, code: int, answer: bytes) -> None:
    if code in (-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 0)) and code:
        raise _too_slow(path)
    try:
        told = json.loads(answer)
    except ValueError:
        raise damaged(path, f"reading it failed (status {code}): {answer[-200:].decode(errors='replace')}") from None
    if "errno" in told:
        raise OSError(told["errno"], "the converted file cannot be written")
    if "refused" in told:
        raise damaged(path, told["refused"], *([told["remedy"]] if told["remedy"] else []))


def _too_slow(path: Path) -> InkwashError:
    return damaged(path, "reading it takes far longer than a file of its size needs")
