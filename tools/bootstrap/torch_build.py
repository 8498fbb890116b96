"""Which build of torch suits this machine, and where it comes from."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from words import SetupError

PYTORCH = "https://download.pytorch.org/whl"
PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class TorchBuild:
    """index None: plain pip, from wherever pip is told to look.  megabytes: download of torch and its libraries."""

    name: str  # "cpu", "cuda" or "default"
    index: str | None
    megabytes: int
    why: str
    warning: str = ""


@dataclass(frozen=True)
class Nvidia:
    """The weakest NVIDIA card and its driver.  None where nvidia-smi did not say."""

    capability: tuple[int, int] | None
    driver: int | None

    @property
    def index(self) -> str:
        """CUDA 13 builds need compute capability 7.5 and driver 580; CUDA 12.6 ones still serve older cards."""
        modern = (self.capability is None or self.capability >= (7, 5)) and (self.driver is None or self.driver >= 580)
        return f"{PYTORCH}/cu130" if modern else f"{PYTORCH}/cu126"


def find_nvidia() -> Nvidia | None:
    """The card as the driver reports it; None if there is no card or no driver."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return Nvidia(None, None) if Path("/proc/driver/nvidia/version").exists() else None
    query = [command, "--query-gpu=compute_cap,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_nvidia(answer.stdout) if answer.returncode == 0 else None


def parse_nvidia(text: str) -> Nvidia | None:
    """``8.9, 580.65.06`` a line and card."""
    cards = re.findall(r"^\s*(\d+)\.(\d+)\s*,\s*(\d+)", text, re.MULTILINE)
    if not cards:
        return None
    return Nvidia(min((int(major), int(minor)) for major, minor, _ in cards), min(int(driver) for *_, driver in cards))


def reachable(url: str) -> bool:
    """Whether the index answers within five seconds."""
    certificates = os.environ.get("PIP_CERT")
    try:
        context = ssl.create_default_context(cafile=certificates or None)
        request = urllib.request.Request(f"{url.rstrip('/')}/torch/", method="HEAD")
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS, context=context) as answer:
            return bool(answer.status < 400)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def choose(
    environ: Mapping[str, str],
    system: str,
    machine: str,
    nvidia: Callable[[], Nvidia | None],
    pip_would_take: Callable[[], str],
    reachable: Callable[[str], bool],
) -> TorchBuild:
    """The build for this machine.

    system, machine: as ``platform`` names them.  pip_would_take: the file name plain pip would install, "" if unknown.
    Overrides: INKWASH_TORCH_INDEX (a package index holding torch), INKWASH_TORCH (cpu or cuda).
    """
    asked = environ.get("INKWASH_TORCH", "").lower()
    if asked not in ("", "cpu", "cuda"):
        raise SetupError(f"INKWASH_TORCH={asked} is not known.", "", "set it to cpu or cuda, or unset it")
    if index := environ.get("INKWASH_TORCH_INDEX"):
        return TorchBuild(asked or "default", index, 200 if asked == "cpu" else 2500, "INKWASH_TORCH_INDEX asks for it")
    if system == "Darwin":
        return TorchBuild("default", None, 90, "one build serves every Mac")

    card = None if asked == "cpu" else nvidia()
    if asked == "cuda" or card is not None:
        return _cuda(card or Nvidia(None, None), system, pip_would_take, reachable)
    return _cpu(system, machine, bool(environ.get("PIP_NO_INDEX")), pip_would_take, reachable)


def _cuda(card: Nvidia, system: str, pip_would_take: Callable[[], str], reachable: Callable[[str], bool]) -> TorchBuild:
    why = "an NVIDIA card is here"
    plain_is_cuda = system == "Linux" and card.index.endswith("cu130")  # what PyPI carries for Linux
    if plain_is_cuda and "+cpu" not in pip_would_take():
        return TorchBuild("cuda", None, 2500, why)
    if reachable(card.index):
        return TorchBuild("cuda", card.index, 2500, why)
    warning = f"{card.index} cannot be reached, so pip installs what it finds; the card may stay unused."
    return TorchBuild("default", None, 2500, why, warning)


def _cpu(
    system: str, machine: str, no_index: bool, pip_would_take: Callable[[], str], reachable: Callable[[str], bool]
) -> TorchBuild:
    why = "no NVIDIA card was found"
    if system != "Linux" or machine not in ("x86_64", "AMD64"):
        return TorchBuild("cpu", None, 150, why)  # PyPI carries CPU builds for these
    if "+cpu" in pip_would_take():
        return TorchBuild("cpu", None, 200, why)
    index = f"{PYTORCH}/cpu"
    if not no_index and reachable(index):
        return TorchBuild("cpu", index, 200, why)
    warning = (
        f"{index} cannot be reached, so pip installs what its own index has: on Linux that is the CUDA build, "
        "about 2.5 GB.  It works without a card.  A mirror of the CPU build: INKWASH_TORCH_INDEX=URL"
    )
    return TorchBuild("default", None, 2500, why, warning)
