"""The last lines of the log, kept in memory for people to read."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from inkwash.jobs.serving import LogLine

LINES = 2000
LONGEST = 2000  # characters of a line


class Log:
    """From any thread.  echo: called with each line's text as well."""

    def __init__(self, clock: Callable[[], float] = time.time, echo: Callable[[str], None] | None = None) -> None:
        self._clock = clock
        self._echo = echo
        self._lines: deque[LogLine] = deque(maxlen=LINES)
        self._number = 0
        self._lock = threading.Lock()

    def add(self, text: str) -> None:
        with self._lock:
            self._number += 1
            self._lines.append(LogLine(number=self._number, when=self._clock(), text=text[:LONGEST]))
        if self._echo is not None:
            self._echo(text)

    def after(self, number: int, limit: int) -> Sequence[LogLine]:
        """At most ``limit`` lines, oldest first; the newest of them when there are more."""
        with self._lock:
            return [line for line in self._lines if line.number > number][-limit:]
