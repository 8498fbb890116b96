"""Helper models among those in a folder, by the name people type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inkwash.core.choices import nearest
from inkwash.core.errors import ModelNotFound


def one_of(found: Sequence[Path], name: str | None, kind: str) -> Path:
    """The one called ``name``, with or without its ending; None: the first.  found: not empty.  Raises ModelNotFound.

    kind: in words, as "depth model".
    """
    if name is None:
        return found[0]
    by_name = {key: path for path in found for key in (path.stem, path.name)}
    if name not in by_name:
        close = nearest(name, list(by_name)) or sorted({path.name for path in found})
        raise ModelNotFound(f"There is no {kind} called {name[:80]!r}.", f"There is {', '.join(close[:5])}.")
    return by_name[name]
