"""What a page may set for the whole service: kept in data_dir, over inkwash.toml."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inkwash.core import files
from inkwash.jobs.protocol import Saving

log = logging.getLogger("inkwash.server")
NAMES = ("pattern", "format", "quality", "defaults")


class Preferences:
    """file: where they are kept; None: in memory only."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._values = _read(file) if file else {}

    def value(self, name: str, default: Any) -> Any:
        return self._values.get(name, default)

    def change(self, values: Mapping[str, Any]) -> None:
        """Raises CannotWrite, and then nothing is changed."""
        with self._lock:
            wanted = self._values | dict(values)
            if self._file:
                files.write(self._file, json.dumps(wanted, ensure_ascii=False, indent=1).encode())
            self._values = wanted

    def saving(self, pattern: str) -> Saving:
        """How pictures are named and written.  pattern: of inkwash.toml."""
        default = Saving(pattern)
        return Saving(**{name: self.value(name, value) for name, value in asdict(default).items()})


def _read(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_bytes()) if file.is_file() else {}
        return {name: values[name] for name in NAMES if name in values}
    except (OSError, ValueError, TypeError) as error:
        log.warning("%s cannot be read (%s); it is left aside", file, error)
        return {}
