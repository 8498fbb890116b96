"""Finding things by the names people type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from inkwash.core.errors import InvalidRequest

_T = TypeVar("_T")


def find(name: str, names: Mapping[_T, Iterable[str]]) -> _T | None:
    """The thing one of whose names is ``name``, upper and lower case and outer spaces aside."""
    wanted = name.strip().casefold()
    return next((thing for thing, own in names.items() if wanted in (n.casefold() for n in own)), None)


def unknown(kind: str, name: str, names: Iterable[str]) -> InvalidRequest:
    """The error for a name that is not among ``names``, with the nearest ones."""
    known = {n.casefold(): n for n in names}
    near = [known[n] for n in get_close_matches(name.casefold(), known, n=3, cutoff=0.5)]
    remedy = f"Did you mean {' or '.join(near)}?" if near else f"Choose one of: {', '.join(known.values())}."
    return InvalidRequest(f"There is no {kind} {name!r}.", remedy)
