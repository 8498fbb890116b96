"""What a name means among face restorers: a file, also under the label A1111 gives its kind."""

from __future__ import annotations

import importlib.util

from inkwash.checkpoint.catalog import Catalog, Entry
from inkwash.core.choices import AUTOMATIC, nearest
from inkwash.core.errors import InvalidRequest, ModelNotFound

LABELS = ("CodeFormer", "GFPGAN", "RestoreFormer")
"""A1111's names of kinds, and one that it has not.  Each means the newest file whose name begins with it."""

FIELD = "restore_faces"


def find_restorer(catalog: Catalog, name: str) -> Entry:
    """The file of a face restorer: by its own name or path, by a label, or "Automatic": the first label there is.

    Raises ModelNotFound if there are none at all, else InvalidRequest with the names there are.
    """
    entries = catalog.entries("face restorer")
    labels = _runnable() if name.strip().casefold() == AUTOMATIC.casefold() else (name.strip(),)
    for label in labels:
        if found := _own(catalog, label) or _newest(entries, label):
            return found
    if not entries:
        raise ModelNotFound(
            f"No face restorer called {name[:80]!r}: there are none at all in models/GFPGAN and models/Codeformer.",
            "Put GFPGANv1.4.pth into models/GFPGAN, or codeformer-v0.1.0.pth into models/Codeformer.",
        )
    names = [entry.name for entry in entries]
    if name.strip().casefold() == AUTOMATIC.casefold():
        return entries[0]
    near = " or ".join(nearest(name, names) or names)
    raise InvalidRequest(f"There is no face restorer called {name[:80]!r}.", f"Say {near}.", FIELD)


def restorer_named(catalog: Catalog, name: str) -> str:
    """The same as a name that means one thing: a file's own, or its place where several bear it."""
    found = find_restorer(catalog, name)
    same = [entry for entry in catalog.entries("face restorer") if entry.name == found.name]
    return found.name if len(same) == 1 else found.relative


def _own(catalog: Catalog, name: str) -> Entry | None:
    if not name or "\0" in name:
        return None
    try:
        return catalog.find(name, "face restorer")
    except ModelNotFound:
        return None


def _newest(entries: list[Entry], label: str) -> Entry | None:
    """ "GFPGAN" -> GFPGANv1.4 rather than GFPGANv1.3.  Only labels mean a part of a name."""
    if label.casefold() not in {known.casefold() for known in LABELS}:
        return None
    bearing = [entry for entry in entries if entry.name.casefold().startswith(label.casefold())]
    return max(bearing, key=lambda entry: entry.name.casefold(), default=None)


def _runnable() -> tuple[str, ...]:
    """CodeFormer's architecture comes in a package that people install by themselves."""
    return LABELS if importlib.util.find_spec("spandrel_extra_arches") else LABELS[1:]
