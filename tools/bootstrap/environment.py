"""One kept environment: made on first use, reused while the lock stands, renewed when it changes.

The stamp is written last, so an environment whose making was interrupted is never trusted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import install
import lock
from words import SetupError, say


@dataclass(frozen=True)
class Environment:
    """root: the clone.  home: where environments live.  extra: None for use, "test" for the tests."""

    root: Path
    home: Path
    extra: str | None

    @property
    def folder(self) -> Path:
        return self.home / ("env" if self.extra is None else f"{self.extra}-env")

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def stamp(self) -> Path:
        return self.folder / "stamp.json"


def ensure(wanted: Environment, environ: Mapping[str, str]) -> Path:
    """The environment's Python, after making or renewing it if need be.  Raises SetupError."""
    reason = stale(wanted, environ)
    if reason is not None:
        try:
            wanted.home.mkdir(parents=True, exist_ok=True)
            (wanted.home / "lock").touch()
        except OSError as error:
            raise SetupError(
                f"{wanted.home} cannot be written.", str(error), "set INKWASH_HOME to a folder you own"
            ) from error
        with lock.alone(wanted.home / "lock", lambda: say("Another Inkwash is setting up here; waiting for it...")):
            reason = stale(wanted, environ)  # it may have done our work
            if reason is not None:
                build(wanted, environ, reason)
    if wanted.extra is None and (quick := environ.get("INKWASH_QUICK_KEY")):
        with contextlib.suppress(OSError):  # a read-only environment still works, by the slower road
            (wanted.folder / "quick-key").write_text(quick, encoding="utf-8")
    return wanted.python


def stale(wanted: Environment, environ: Mapping[str, str]) -> str | None:
    """Why the environment cannot be used as it is; None if it can."""
    try:
        stamp = json.loads(wanted.stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "first use" if not wanted.folder.exists() else "the last setting-up did not finish"
    if stamp.get("lock") != lock.key(wanted.root, wanted.extra):
        return "constraints.txt has changed"
    if (asked := environ.get("INKWASH_TORCH", "").lower()) and asked != stamp.get("torch"):
        return f"INKWASH_TORCH={asked} is asked for"
    if (index := environ.get("INKWASH_TORCH_INDEX")) and index != stamp.get("index"):
        return "INKWASH_TORCH_INDEX has changed"
    if environ.get("INKWASH_PYTHON") and install.version_of_this_python() != stamp.get("python"):
        return "another Python is asked for"
    if not wanted.python.exists():  # also false for a link to a Python that has been removed
        return "its Python is gone"
    return None


def build(wanted: Environment, environ: Mapping[str, str], reason: str) -> None:
    """Make the environment from nothing; the stamp comes last."""
    say(f"Setting up Inkwash's environment ({reason}).")
    say(f"  where      {wanted.folder}")
    try:
        if wanted.folder.exists():
            shutil.rmtree(wanted.folder)
    except OSError as error:
        raise SetupError(
            f"{wanted.folder} cannot be renewed.",
            str(error),
            "close programs that use it, or delete it yourself",
        ) from error
    log = wanted.home / "setup.log"
    log.write_text("", encoding="utf-8")
    install.create_environment(wanted.folder, wanted.python, log)
    torch = install.install_all(wanted.root, wanted.folder, wanted.python, wanted.extra, environ, log)
    write_path_file(wanted)
    stamp = {
        "lock": lock.key(wanted.root, wanted.extra),
        "python": install.version_of_this_python(),
        "torch": torch.name,
        "index": torch.index,
    }
    unfinished = wanted.stamp.with_suffix(".part")
    unfinished.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    unfinished.replace(wanted.stamp)
    say("Inkwash is ready; from now on it starts at once.\n")


def write_path_file(wanted: Environment) -> None:
    """Let the environment import the clone's own src/.  A relative line survives the clone being moved."""
    query = [str(wanted.python), "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip())
    source = wanted.root / "src"
    inside = wanted.folder.is_relative_to(wanted.root)
    line = os.path.relpath(source.resolve(), packages.resolve()) if inside else str(source)
    (packages / "inkwash-clone.pth").write_text(line + "\n", encoding="utf-8")
