"""Creating a virtual environment and filling it, with words for every way this can fail."""

from __future__ import annotations

import importlib.util
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import lock
from torch_build import TorchBuild, choose, find_nvidia, reachable
from words import SetupError, diagnose, say

OTHERS_MEGABYTES = {None: 90, "test": 150}  # everything but torch, downloaded
GROWTH = 4  # installed size / downloaded size, roughly


def version_of_this_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def create_environment(folder: Path, python: Path, log: Path) -> None:
    """A virtual environment with pip.  Debian ships Python without ensurepip, hence the other roads."""
    if importlib.util.find_spec("ensurepip") is not None:
        _run([sys.executable, "-m", "venv", str(folder)], "The environment could not be created.", log)
    elif shutil.which("virtualenv"):
        command = ["virtualenv", "--quiet", "--python", sys.executable, str(folder)]
        _run(command, "The environment could not be created.", log)
    elif importlib.util.find_spec("pip") is not None and importlib.util.find_spec("venv") is not None:
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], "The environment could not be created.", log)
        command = [sys.executable, "-m", "pip", "--python", str(python), "install", "pip"]
        _run(command, "pip could not be put into the environment.", log)
    else:
        raise SetupError(
            "Python's own tool for environments (venv with ensurepip) is missing.",
            "Debian and Ubuntu ship it as a separate package",
            f"sudo apt install python{version_of_this_python()}-venv   then run the same command again",
        )


def install_all(
    root: Path, folder: Path, python: Path, extra: str | None, environ: Mapping[str, str], log: Path
) -> TorchBuild:
    """torch first, from where it suits the machine, then everything else.  Says beforehand what comes and how much."""
    pip = _installer(python, environ)
    constraints = ["-c", str(root / "constraints.txt")]
    pin = lock.torch_pin(root)
    would_take = lambda: resolve([str(python), "-m", "pip"], pin)  # noqa: E731
    torch = choose(environ, platform.system(), platform.machine(), find_nvidia, would_take, reachable)
    announce(torch, folder, extra)
    if torch.index is not None:  # that index's other packages may be older than ours: only torch comes from it
        _install([*pip, "--no-deps", "--index-url", torch.index, pin], "torch could not be installed.", log, live=True)
    else:
        _install([*pip, *constraints, pin], "torch could not be installed.", log, live=True)
    _install([*pip, *constraints, pin, *lock.requirements(root, extra)], "A package could not be installed.", log)
    _install([*pip, "--no-deps", *constraints, *lock.bare(root)], "A package could not be installed.", log)
    _run([str(python), "-c", "import torch"], "torch was installed but does not start.", log)
    return torch


def announce(torch: TorchBuild, folder: Path, extra: str | None) -> None:
    others = OTHERS_MEGABYTES[extra]
    total = torch.megabytes + others
    say(f"  download   about {_size(total)}: torch ({torch.name} build, {torch.why}) {_size(torch.megabytes)}, "
        f"other packages {_size(others)}; less if pip has them in its cache")  # fmt: skip
    say(f"  on disk    about {_size(total * GROWTH)}")
    if torch.warning:
        say(f"  note       {torch.warning}")
    free = shutil.disk_usage(folder).free // 10**6
    if free < total * GROWTH:
        raise SetupError(
            f"{folder} has {_size(free)} free, about {_size(total * GROWTH)} are needed.",
            "the disk is nearly full",
            "free some space, or put the environment elsewhere: INKWASH_HOME=/other/disk/inkwash",
        )


def resolve(pip: list[str], requirement: str) -> str:
    """The file name pip would install, without installing it; "" if pip cannot say."""
    command = [*pip, "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:",
               "--use-feature=fast-deps", "--report", "-", requirement]  # fmt: skip
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        url: str = json.loads(answer.stdout)["install"][0]["download_info"]["url"]
    except (OSError, subprocess.TimeoutExpired, ValueError, LookupError):
        return ""
    return url.rsplit("/", 1)[-1].replace("%2B", "+").replace("%2b", "+")


def _installer(python: Path, environ: Mapping[str, str]) -> list[str]:
    """The command up to the requirements.  pip unless uv is asked for: uv reads neither pip.conf nor PIP_ variables."""
    asked = environ.get("INKWASH_INSTALLER", "pip").lower()
    if asked == "pip":
        return [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    uv = shutil.which("uv") if asked == "uv" else None
    if uv is None:
        raise SetupError(
            f"INKWASH_INSTALLER={asked} cannot be used.",
            "uv is not on PATH" if asked == "uv" else "only pip and uv are known",
            "install uv, or unset INKWASH_INSTALLER",
        )
    return [uv, "pip", "install", "--python", str(python)]


def _install(command: list[str], failure: str, log: Path, *, live: bool = False) -> None:
    """live: let the installer draw its own progress bar (one large package); otherwise name each download on a line."""
    if live and sys.stderr.isatty():
        _run(command, failure, log, stdout=sys.stderr.fileno())
        return
    with (
        log.open("a", encoding="utf-8") as record,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as job,
    ):
        output = []
        assert job.stdout is not None
        for line in job.stdout:
            record.write(line)
            output.append(line)
            _retell(line)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if job.returncode != 0:
        raise diagnose(failure, "".join(output), log)


def _retell(line: str) -> None:
    """What of the installer's talk a person wants to see."""
    text = line.strip()
    if text.startswith("Installing collected packages"):
        text = "Installing..."
    elif not text.startswith("Downloading ") or ".metadata" in text:
        return
    if sys.stderr.isatty():
        print(f"\r\033[K  {text[:76]}", end="", file=sys.stderr, flush=True)
    elif text == "Installing..." or "MB)" in text:
        say(f"  {text}")


def _run(command: list[str], failure: str, log: Path, stdout: int | None = None) -> None:
    """Run quietly, keep the output in the log, turn a failure into words."""
    result = subprocess.run(
        command, stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    output = (result.stdout or "") + result.stderr
    with log.open("a", encoding="utf-8") as record:
        record.write(f"$ {' '.join(command)}\n{output}\n")
    if result.returncode != 0:
        raise diagnose(failure, output, log)


def _size(megabytes: int) -> str:
    return f"{megabytes} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
