"""A picture in layers: each redraw lies over what was there, with the recipe that drew it.

The file is OpenRaster (a zip of PNGs and a stack.xml, www.openraster.org), so Krita, GIMP and MyPaint open it as it is.
"""

from __future__ import annotations

import dataclasses
import io
import xml.etree.ElementTree as xml
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, PngImagePlugin

from inkwash.core import files, images
from inkwash.core.errors import DamagedFile, InkwashError, InvalidRequest

MIME = b"image/openraster"
MOST = 1000  # layers
MAX_XML = 2**20  # bytes
THUMBNAIL = 256  # pixels, the standard's largest


@dataclass(frozen=True)
class Layer:
    """image: RGBA.  x, y: of its upper left corner in the whole.  recipe: the infotext that drew it, "" if none did."""

    name: str
    image: Image.Image
    x: int = 0
    y: int = 0
    visible: bool = True
    opacity: float = 1.0
    recipe: str = ""


@dataclass(frozen=True)
class Layers:
    """size: of the whole.  layers: the lowest first."""

    size: tuple[int, int]
    layers: tuple[Layer, ...]

    @classmethod
    def of(cls, image: Image.Image, recipe: str = "") -> Layers:
        """A picture as the lowest layer."""
        return cls(image.size, (Layer("picture", image.convert("RGBA"), recipe=recipe),))

    def flattened(self) -> Image.Image:
        """What is seen, RGBA."""
        whole = Image.new("RGBA", self.size)
        for layer in self.layers:
            if layer.visible:
                whole.alpha_composite(_faded(layer), (max(layer.x, 0), max(layer.y, 0)), _hidden_part(layer))
        return whole

    def over(self, layer: Layer) -> Layers:
        return self._with([*self.layers, layer])

    def shown(self, number: int, visible: bool) -> Layers:
        """Layer ``number`` (counted from 0, the lowest) shown or hidden."""
        chosen = self._at(number)
        changed = dataclasses.replace(chosen, visible=visible)
        return self._with([changed if layer is chosen else layer for layer in self.layers])

    def moved(self, number: int, to: int) -> Layers:
        chosen = self._at(number)
        self._at(to)
        rest = [layer for layer in self.layers if layer is not chosen]
        return self._with([*rest[:to], chosen, *rest[to:]])

    def without(self, number: int) -> Layers:
        """A redraw taken back.  The last layer stays."""
        chosen = self._at(number)
        if len(self.layers) == 1:
            raise InvalidRequest("This is the only layer.", "Delete the file instead.")
        return self._with([layer for layer in self.layers if layer is not chosen])

    def _with(self, layers: list[Layer]) -> Layers:
        return Layers(self.size, tuple(layers))

    def _at(self, number: int) -> Layer:
        if not 0 <= number < len(self.layers):
            raise InvalidRequest(f"There is no layer {number}.", f"They are numbered 0 to {len(self.layers) - 1}.")
        return self.layers[number]


def redrawn(name: str, result: Image.Image, mask: Image.Image, recipe: str) -> Layer:
    """What an inpainting changed, as a layer: the result's pixels wherever the mask is not black.

    result, mask: of the whole's size.  Over what was inpainted it looks exactly like the result.
    """
    touched = mask.convert("L").point(lambda level: 255 if level else 0)
    box = touched.getbbox() or (0, 0, 1, 1)
    cut = result.convert("RGB").crop(box)
    cut.putalpha(touched.crop(box))
    return Layer(name, cut, box[0], box[1], recipe=recipe)


def _faded(layer: Layer) -> Image.Image:
    if layer.opacity >= 1:
        return layer.image
    faded = layer.image.copy()
    faded.putalpha(layer.image.getchannel("A").point(lambda level: round(level * layer.opacity)))
    return faded


def _hidden_part(layer: Layer) -> tuple[int, int]:
    """What of a layer stands over the upper left edge of the whole."""
    return max(-layer.x, 0), max(-layer.y, 0)


def save(layers: Layers, path: Path) -> None:
    """Write the file whole or not at all.  Raises CannotWrite."""
    files.write(path, encode(layers))


def encode(layers: Layers) -> bytes:
    """The file's bytes."""
    buffer = io.BytesIO()
    root = xml.Element("image", version="0.0.3", w=str(layers.size[0]), h=str(layers.size[1]))
    stack = xml.SubElement(root, "stack")
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # PNGs are packed already
        archive.writestr("mimetype", MIME)  # the standard wants it first and unpacked
        for number, layer in enumerate(layers.layers):
            source = f"data/layer{number:03}.png"
            archive.writestr(source, _png(layer.image, layer.recipe))
            stack.insert(0, xml.Element("layer", _attributes(layer, source)))  # the uppermost stands first
        merged = layers.flattened()
        archive.writestr("stack.xml", xml.tostring(root, encoding="UTF-8", xml_declaration=True))
        archive.writestr("mergedimage.png", _png(merged))
        merged.thumbnail((THUMBNAIL, THUMBNAIL))
        archive.writestr("Thumbnails/thumbnail.png", _png(merged))
    return buffer.getvalue()


def _attributes(layer: Layer, source: str) -> dict[str, str]:
    return {
        "name": layer.name,
        "src": source,
        "x": str(layer.x),
        "y": str(layer.y),
        "opacity": f"{layer.opacity:g}",
        "visibility": "visible" if layer.visible else "hidden",
        "composite-op": "svg:src-over",
    }


def _png(image: Image.Image, recipe: str = "") -> bytes:
    buffer, chunks = io.BytesIO(), PngImagePlugin.PngInfo()
    if recipe:
        chunks.add_text("parameters", recipe)
    image.save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def load(path: Path) -> Layers:
    """Read an OpenRaster file, ours or an editor's; groups are read as their layers.  Raises InkwashError."""
    if not path.is_file():
        raise InkwashError(f"{path} is not a file.", "Make one with: inkwash layers new PICTURE FILE.ora")
    return _opened(path, path, Room())


def load_of(data: bytes, most_pixels: int) -> Layers:
    """``load`` of a file's bytes from a stranger.  most_pixels: of all layers together."""
    return _opened(io.BytesIO(data), "The file", Room(most_pixels, 8 * most_pixels, most_pixels))


@dataclass
class Room:
    """How much is unpacked.  pixels, size: of one layer, bytes of its file; total: pixels of all, None: unbounded."""

    pixels: int = images.MAX_PIXELS
    size: int = images.MAX_FILE
    total: int | None = None

    def take(self, name: str, width: int, height: int) -> None:
        """Before a layer is unpacked.  Raises ValueError."""
        if width * height > (self.pixels if self.total is None else min(self.pixels, self.total)):
            raise ValueError(f"{name} with its {width}x{height} pixels is more than is read")
        self.total = None if self.total is None else self.total - width * height


def _opened(file: Path | io.BytesIO, name: Path | str, room: Room) -> Layers:
    try:
        with zipfile.ZipFile(file) as archive:
            return _read(archive, name, room)
    except (
        zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, xml.ParseError, EOFError, NotImplementedError,
        RuntimeError, SyntaxError, Image.DecompressionBombError,
    ) as error:  # fmt: skip
        remedy = "It may have been cut short.  Take a copy; nothing in it was changed."
        raise DamagedFile(f"{name} is not a sound OpenRaster file: {error}.", remedy) from error


def _read(archive: zipfile.ZipFile, name: Path | str, room: Room) -> Layers:
    if archive.getinfo("stack.xml").file_size > MAX_XML:
        raise DamagedFile(f"{name} has a stack.xml of more than {MAX_XML >> 20} MiB.", "It was refused unread.")
    root = xml.fromstring(archive.read("stack.xml"))
    found = list(root.iter("layer"))
    if not 0 < len(found) <= MOST:
        raise DamagedFile(f"{name} has {len(found)} layers.", f"1 to {MOST} are read.")
    size = int(root.attrib["w"]), int(root.attrib["h"])
    if min(size) < 1 or size[0] * size[1] > room.pixels:
        raise DamagedFile(f"{name} claims {size[0]}x{size[1]} pixels.", f"At most {room.pixels} are read.")
    return Layers(size, tuple(_layer(archive, element, room) for element in reversed(found)))


def _layer(archive: zipfile.ZipFile, element: xml.Element, room: Room) -> Layer:
    info = archive.getinfo(element.attrib["src"])
    if info.file_size > room.size:
        raise ValueError(f"{info.filename} is larger than {room.size >> 20} MiB")
    with Image.open(io.BytesIO(archive.read(info)), formats=list(images.FORMATS.values())) as image:
        room.take(info.filename, *image.size)
        recipe = image.info.get("parameters", "") if image.format == "PNG" else ""
        pixels = image.convert("RGBA")
    return Layer(
        name=element.get("name", ""),
        image=pixels,
        x=int(element.get("x", "0")),
        y=int(element.get("y", "0")),
        visible=element.get("visibility", "visible") != "hidden",
        opacity=min(max(float(element.get("opacity", "1")), 0.0), 1.0),
        recipe=recipe,
    )
