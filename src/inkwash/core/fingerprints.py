"""A picture's name by its content: how a text says which pictures another one was made from."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

KEYS = {  # infotext key -> request field
    "Init image hash": "init_image",
    "Mask hash": "mask",
    "Latent mask hash": "latent_mask",
    "Depth hash": "depth",
}


def fingerprint(image: Image) -> str:
    """SHA-256 of size and pixels, whatever the file format, and whether grey or an opaque alpha channel is stored."""
    pixels = image.convert("RGBA")
    return hashlib.sha256(f"{pixels.width}x{pixels.height} ".encode() + pixels.tobytes()).hexdigest()
