"""The pictures that a request of the service's own API starts from, in the three ways it may name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from PIL import Image

from inkwash.core import images
from inkwash.core.wire import HASH, PICTURES
from inkwash.server import uploads
from inkwash.server.context import Caller, Context

_PICTURE_ID = re.compile(r"\w{1,50}-[\w-]{1,50}", re.ASCII)  # JOB-ITEM; base64 has no "-"


def referred(context: Context, caller: Caller, values: Mapping[str, Any]) -> dict[str, Any]:
    """The request with each picture that came as base64, or as the id of one in the gallery, kept and named by hash."""
    given = {name: values[name] for name in PICTURES if isinstance(values.get(name), str)}
    kept = {name: {HASH: context.blobs.keep(_opened(context, caller, text))} for name, text in given.items()}
    return {**values, **kept}


def with_text(context: Context, caller: Caller, text: str) -> tuple[Image.Image, str]:
    """A picture in base64, or of the gallery, and what it says of itself.  Raises InvalidRequest, DamagedFile."""
    if is_id(text):
        return _opened(context, caller, text), context.picture(text, caller).infotext
    data = uploads.picture_bytes(text, urls=False, limit=0)
    return uploads.picture(data, context.settings.limits.side), uploads.metadata(data).infotext


def uploaded(context: Context, text: str) -> Image.Image:
    """A picture as A1111's clients send one.  Raises InvalidRequest or DamagedFile."""
    serving = context.settings.server
    data = uploads.picture_bytes(text, urls=serving.allow_image_urls, limit=serving.body_mb * 2**20)
    return uploads.picture(data, context.settings.limits.side)


def _opened(context: Context, caller: Caller, text: str) -> Image.Image:
    if is_id(text):
        return images.load(context.check_file(context.picture(text, caller).path))
    return uploaded(context, text)


def is_id(text: str) -> bool:
    """Whether it is the id of a picture in the gallery, and not a picture in base64."""
    return _PICTURE_ID.fullmatch(text) is not None
