"""A1111's options: each account's own, kept on the disk, given out whole and taken back whole.

What is set here acts on that account's requests over A1111's API only; one account never changes another's pictures.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inkwash.core import files
from inkwash.core.errors import InvalidRequest
from inkwash.server.a1111.option_table import OPTIONS

log = logging.getLogger("inkwash.server")
LONGEST = 10_000  # characters of a text


class Options:
    """file: where they are kept; None: in memory only."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._values: dict[str, dict[str, Any]] = _read(file) if file else {}

    def of(self, user: str) -> dict[str, Any]:
        """Every option with its value."""
        with self._lock:
            return OPTIONS | self._values.get(user, {})

    def set(self, user: str, values: Mapping[str, Any]) -> None:
        """Take the options that exist; null puts one back to its default.  Raises InvalidRequest, CannotWrite."""
        checked = {name: _checked(name, value) for name, value in values.items() if name in OPTIONS}
        with self._lock:
            own = self._values.get(user, {}) | checked
            changed = {name: value for name, value in own.items() if value is not None and value != OPTIONS[name]}
            if changed == self._values.get(user, {}):
                return
            self._values = {**self._values, user: changed}
            if self._file:
                files.write(self._file, json.dumps(self._values, ensure_ascii=False, indent=1).encode())


def _checked(name: str, value: object) -> object:
    """The value in its option's own type; numbers may come as texts' cousins: 7 for 7.0."""
    default = OPTIONS[name]
    if value is None or default is None:
        fits = value is None or isinstance(value, str | int | float | bool)
    elif isinstance(default, bool):
        fits = isinstance(value, bool)
    elif isinstance(default, int | float):
        fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
    else:
        fits = isinstance(value, type(default))
    if not fits or len(json.dumps(value)) > LONGEST:
        raise InvalidRequest(f"The option {name} cannot be {json.dumps(value)[:60]}.",
                             f"Its default is {json.dumps(default)}.", name)  # fmt: skip
    return value


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """What was kept; nothing if it is absent or damaged, which is told in the log."""
    try:
        values = json.loads(file.read_bytes()) if file.is_file() else {}
        return {user: {name: value for name, value in own.items() if name in OPTIONS} for user, own in values.items()}
    except (OSError, ValueError, AttributeError) as error:
        log.warning("%s cannot be read (%s); options are back to their defaults", file, error)
        return {}
