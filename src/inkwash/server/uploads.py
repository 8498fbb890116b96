"""Pictures that come in: base64, data URIs or plain bytes; looked at before anything is unpacked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from pathlib import Path

from PIL import Image

from inkwash.core import files, images
from inkwash.core.errors import DamagedFile, InvalidRequest
from inkwash.core.images import Metadata
from inkwash.server import fetching

MAX_PIXELS = 2**26  # 8192 x 8192
_DATA_URI = re.compile(r"data:image/[\w.+-]{1,40};base64,", re.ASCII)


def picture_bytes(text: str, *, urls: bool, limit: int) -> bytes:
    """What A1111's clients send as a picture: raw base64, a data URI, or (urls) the address of one.

    Raises InvalidRequest.  Whether the bytes are a picture is for ``metadata`` to say.
    """
    if text.startswith(("http://", "https://")):
        if not urls:
            raise InvalidRequest("Addresses of pictures are not followed here.",
                                 "Send the picture itself, or set allow_image_urls in [server].", "image")  # fmt: skip
        return fetching.fetch(text, limit)
    if head := _DATA_URI.match(text):
        text = text[head.end() :]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("The picture is not valid base64.", "Send PNG, JPEG or WebP as base64.", "image") from None


def metadata(data: bytes) -> Metadata:
    """What a stranger's picture says of itself.  Raises DamagedFile."""
    if not data:
        raise DamagedFile("The picture is empty.", "Send a PNG, JPEG, WebP or GIF file.")
    return images.read_metadata_of(data, MAX_PIXELS)


def picture(data: bytes, side: int) -> Image.Image:
    """A stranger's picture with its pixels; of at most side x side.  Raises DamagedFile."""
    if not data:
        raise DamagedFile("The picture is empty.", "Send a PNG, JPEG, WebP or GIF file.")
    return images.load_of(data, min(MAX_PIXELS, side**2))


def kept(data: bytes, data_dir: Path) -> Path:
    """Keep a picture under its own hash, so that a queued job can refer to it after a restart."""
    found = metadata(data)
    path = data_dir / "blobs" / f"{hashlib.sha256(data).hexdigest()}.{found.format.lower()}"
    if path.is_file():
        os.utime(path)  # used again
    else:
        files.write(path, data)
    return path
