"""What has to be installed, as one key, and who may install it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO


def requirements(root: Path, extra: str | None) -> list[str]:
    """Dependencies named in pyproject.toml, the extra's included."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named: list[str] = list(project["dependencies"])
    if extra is not None:
        named += project["optional-dependencies"][extra]
    return named


def bare(root: Path) -> list[str]:
    """Packages that are installed without what they declare: that is named among the dependencies, or not used."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["inkwash"]
    named: list[str] = settings["bare-dependencies"]
    return named


def key(root: Path, extra: str | None) -> str:
    """Changes exactly when something else has to be installed; comments and version numbers of ours do not count."""
    pins = (line.split("#")[0].strip() for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines())
    named = sorted(requirements(root, extra) + bare(root))
    content = {"requirements": named, "constraints": sorted(filter(None, pins))}
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def torch_pin(root: Path) -> str:
    """The requirement for torch, for example ``torch==2.13.0``."""
    for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("torch=="):
            return line.split("#")[0].split(";")[0].strip()
    raise ValueError("constraints.txt does not pin torch")


@contextlib.contextmanager
def alone(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the file's lock, which the system releases even if we are killed.  ``waiting`` is called if it is taken."""
    with path.open("a+b") as file:
        if not _try_lock(file):
            waiting()
            _lock(file)
        yield


if sys.platform == "win32":
    import msvcrt
    import time

    def _try_lock(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _lock(file: IO[bytes]) -> None:
        while not _try_lock(file):
            time.sleep(0.5)

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
