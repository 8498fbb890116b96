"""Layers as a Photoshop file, for editors that read nothing else."""

from __future__ import annotations

import io
from pathlib import Path

from inkwash.core import files
from inkwash.core.errors import InvalidRequest
from inkwash.core.layers import Layer, Layers

LONGEST_SIDE = 30_000  # pixels, as the format has it
LONGEST_NAME = 255  # characters


def save_psd(layers: Layers, path: Path) -> None:
    """Write the file whole or not at all: pixels with alpha, names in any script, offsets, visibility, opacity.

    What is seen is the picture that programs without layers show, within a level.  Recipes stay in the OpenRaster
    file: PSD has no place for them.  Raises InvalidRequest for a size that PSD cannot hold, CannotWrite.
    """
    if max(layers.size) > LONGEST_SIDE:
        message = f"These layers are {layers.size[0]}x{layers.size[1]}; a PSD has at most {LONGEST_SIDE} a side."
        raise InvalidRequest(message, "Give the OpenRaster file itself to the editor.")
    from psd_tools import PSDImage  # half a second, for those who export only

    document = PSDImage.frompil(layers.flattened())
    for layer in layers.layers:
        _add(document, layer)
    buffer = io.BytesIO()
    document.save(buffer)
    files.write(path, buffer.getvalue())


def _add(document: object, layer: Layer) -> None:
    from psd_tools.api.layers import PixelLayer
    from psd_tools.api.psd_image import PSDImage

    assert isinstance(document, PSDImage)
    added = PixelLayer.frompil(layer.image, document, top=layer.y, left=layer.x)
    added.name = layer.name[:LONGEST_NAME]  # not given above, where it may hold Latin letters only
    added.visible = layer.visible
    added.opacity = round(layer.opacity * 255)
