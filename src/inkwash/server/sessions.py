"""The page's sessions that are open: a cookie opens the door only while its session is among them."""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from inkwash.core import files

log = logging.getLogger("inkwash.server")
MOST = 10_000  # open at once; the oldest are closed beyond


class Sessions:
    """file: where they are kept, so that they outlive a restart; None: in memory only.  Safe for threads."""

    def __init__(self, file: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._ends: dict[str, float] = _read(file) if file else {}  # id -> seconds since 1970, oldest first

    def open(self, ends: float) -> str:
        """The id of a new one.  Raises CannotWrite."""
        session = secrets.token_urlsafe(16)
        with self._lock:
            alive = [(one, end) for one, end in self._ends.items() if end > self._clock()]
            self._write(dict([*alive, (session, ends)][-MOST:]))
        return session

    def close(self, session: str) -> None:
        """Raises CannotWrite."""
        with self._lock:
            if session in self._ends:
                self._write({one: end for one, end in self._ends.items() if one != session})

    def is_open(self, session: str) -> bool:
        return self._ends.get(session, 0) > self._clock()

    def _write(self, ends: dict[str, float]) -> None:
        if self._file:
            files.make_folder(self._file.parent)
            files.write(self._file, json.dumps(ends).encode())
        self._ends = ends


def _read(file: Path) -> dict[str, float]:
    """What was kept; nothing if it is absent or damaged: then everybody has to log in again."""
    try:
        values = json.loads(file.read_bytes()) if file.is_file() else {}
        return {str(session): float(end) for session, end in values.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("%s cannot be read (%s); everybody has to log in again", file, error)
        return {}
