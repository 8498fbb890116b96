"""Why a worker process died, and whether its jobs may have caused it."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COUNTERS = (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events"))
_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Death:
    """counts: it counts as an attempt of the jobs that were running."""

    why: str
    counts: bool


def oom_kills() -> Mapping[Path, int]:
    """How many processes the kernel has killed for want of memory, where it says so (Linux)."""
    found = {}
    for path in COUNTERS:
        try:
            match = _KILLS.search(path.read_text())
        except OSError:
            continue
        if match:
            found[path] = int(match[1])
    return found


def explain(status: int, kills_before: Mapping[Path, int], hung: str | None) -> Death:
    """status: the process's exit status, negative for a signal.  hung: why it was killed by us, if it was.

    A kill from outside (a person, a container being stopped) is nobody's fault and does not count, unless the kernel
    has killed for want of memory since.
    """
    if hung is not None:
        return Death(hung, counts=True)
    if status == 0:
        return Death("The worker left.", counts=False)
    if status < 0:
        name = _signal(-status)
        if -status in (signal.SIGTERM, signal.SIGINT) or name == "SIGKILL":
            if oom_kills() != kills_before:
                return Death("The system ran out of memory and ended the worker.", counts=True)
            return Death(f"The worker was ended from outside ({name}).", counts=False)
        return Death(f"The worker crashed ({name}).", counts=True)
    return Death(f"The worker ended with status {status}.", counts=True)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
