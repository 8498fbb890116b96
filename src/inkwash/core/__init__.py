"""What every floor speaks: requests, errors, progress, pictures and their texts.  No torch."""

from __future__ import annotations

from importlib import import_module

_MODULES = (
    "choices", "errors", "files", "fingerprints", "images", "infotext", "limits", "masks", "naming", "progress",
    "request", "resizing", "settings", "sources",
)  # fmt: skip


def __getattr__(name: str) -> object:
    """``inkwash.core.infotext`` works without importing it by name."""
    if name in _MODULES:
        return import_module(f"inkwash.core.{name}")
    raise AttributeError(f"module 'inkwash.core' has no attribute {name!r}")
