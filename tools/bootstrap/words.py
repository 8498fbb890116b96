"""What the setting-up says.  All of it goes to standard error: standard output belongs to the command that follows."""

from __future__ import annotations

import sys
from pathlib import Path


class SetupError(Exception):
    """Setting up cannot go on.  what happened, why as far as known, and what the person can do."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(error: SetupError) -> None:
    say(f"error: {error.what}")
    if error.why:
        say(f"  why: {error.why}")
    say(f"  what to do: {error.remedy}")


# Signs in pip's output, the cause they mean, and the way out.  First match wins.
CAUSES = (
    (
        ("no space left", "not enough space", "errno 28"),
        "the disk is full",
        "free some space, or put the environment elsewhere: INKWASH_HOME=/other/disk/inkwash",
    ),
    (
        ("certificate_verify_failed", "sslerror", "ssl: "),
        "the secure connection was refused; a proxy may be replacing certificates",
        "point PIP_CERT at your organisation's certificate file, then run the same command again",
    ),
    (
        ("name resolution", "newconnectionerror", "timed out", "timeout", "network is unreachable", "proxyerror",
         "connection reset", "connection refused", "connection broken", "remotedisconnected", "getaddrinfo"),
        "the package server cannot be reached",
        "check the network and run the same command again; behind a slow network use a mirror, "
        "for example PIP_INDEX_URL=https://pypi.tuna.tsinghua.edu.cn/simple",
    ),
    (
        ("permission denied", "errno 13", "read-only file system"),
        "the folder cannot be written",
        "choose a folder you own: INKWASH_HOME=$HOME/.inkwash",
    ),
    (
        ("no matching distribution", "could not find a version", "resolutionimpossible"),
        "the package server has no such version for this Python and machine, or did not answer",
        "check the network; try another Python (INKWASH_PYTHON=python3.12) or, with a mirror, another PIP_INDEX_URL",
    ),
    (
        ("memoryerror", "killed", "cannot allocate memory"),
        "the machine ran out of memory while installing",
        "close other programs and run the same command again",
    ),
)  # fmt: skip


def diagnose(what: str, output: str, log: Path) -> SetupError:
    """The failure of an installer told in words, from what it printed."""
    lowered = output.lower()
    for signs, why, remedy in CAUSES:
        if any(sign in lowered for sign in signs):
            return SetupError(what, why, f"{remedy}.\n  details: {log}")
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
    return SetupError(what, last, f"read {log}; if it does not help, report it together with that file")
