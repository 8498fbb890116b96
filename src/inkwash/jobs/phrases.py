"""The protocol's objects as JSON and back, for the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from inkwash.core.errors import InkwashError
from inkwash.core.files import CannotWrite
from inkwash.jobs.protocol import Glimpse, Item, JobNotFound, Lease, StaleLease

ERRORS = {kind.__name__: kind for kind in (StaleLease, JobNotFound, CannotWrite)}
"""Those a worker acts on; any other arrives as InkwashError."""


def of_lease(lease: Lease) -> dict[str, Any]:
    return asdict(lease)


def lease(data: Mapping[str, Any]) -> Lease:
    return Lease(**data)


def of_item(item: Item) -> dict[str, Any]:
    return asdict(item)


def item(data: Mapping[str, Any]) -> Item:
    return Item(**data)


def of_glimpse(glimpse: Glimpse) -> tuple[dict[str, Any], bytes]:
    """preview travels as bytes behind the message."""
    return asdict(replace(glimpse, preview=None)), glimpse.preview or b""


def glimpse(data: Mapping[str, Any], preview: bytes) -> Glimpse:
    return Glimpse(**{**data, "preview": preview or None})


def of_error(error: InkwashError) -> dict[str, str]:
    return {"error": type(error).__name__, "message": error.message, "remedy": error.remedy}


def error(data: Mapping[str, str]) -> InkwashError:
    return ERRORS.get(data["error"], InkwashError)(data["message"], data["remedy"])
