"""Pictures in files, with the text that reproduces them."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from inkwash.core import files
from inkwash.core.choices import QUALITY
from inkwash.core.errors import DamagedFile, InkwashError, InvalidRequest

FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "gif": "GIF"}
SUFFIXES = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "gif": ".gif"}
READABLE = (".png", ".jpg", ".jpeg", ".webp", ".gif")
MAX_PIXELS = 2**28  # 16384 x 16384; more is refused before it is unpacked
MAX_FILE = 2**30  # bytes
MAX_TEXT = 2**20  # bytes of one unpacked text chunk
EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
EXIF_ROOM = 65_000  # bytes a JPEG's EXIF segment holds


@dataclass(frozen=True)
class Metadata:
    """What a picture file says of itself.  infotext: A1111's "parameters", "" if there are none."""

    format: str  # "PNG", "JPEG", ...
    width: int
    height: int
    mode: str  # Pillow's: "RGB", "RGBA", "L", ...
    infotext: str
    texts: dict[str, str] = field(default_factory=dict)  # other text chunks of a PNG


def encode(
    image: Image.Image,
    infotext: str = "",
    format: str = "png",
    quality: int = QUALITY,
    texts: Mapping[str, str] | None = None,
) -> bytes:
    """The file's bytes.  quality: 1..100, for JPEG and WebP; WebP at 100 is lossless.  texts: further ones of a PNG.

    Raises InkwashError.
    """
    if format not in FORMATS:
        raise InvalidRequest(f"There is no picture format {format!r}.", f"Choose one of: {', '.join(FORMATS)}.")
    if not 1 <= quality <= 100:
        raise InvalidRequest(f"quality is {quality}; it must lie between 1 and 100.", f"Try {QUALITY}.")
    buffer = io.BytesIO()
    if format == "png":
        chunks = PngImagePlugin.PngInfo()
        if infotext:
            chunks.add_text("parameters", infotext)  # tEXt where Latin-1 suffices, iTXt (UTF-8) where not
        for key, text in (texts or {}).items():
            chunks.add_text(key, text)
        image.save(buffer, "PNG", pnginfo=chunks)
    elif format == "jpeg":
        image.convert("RGB").save(buffer, "JPEG", quality=quality, subsampling=0, exif=_exif(infotext))
    elif format == "webp":
        image.save(buffer, "WEBP", quality=quality, lossless=quality == 100, exif=_exif(infotext))
    else:
        image.save(buffer, "GIF", comment=infotext.encode())
    return buffer.getvalue()


def save(
    image: Image.Image, path: Path | str, infotext: str = "", format: str | None = None, quality: int = QUALITY
) -> None:
    """Write a picture whole or not at all, replacing what was there.  format None: by the name's suffix."""
    path = Path(path)
    files.write(path, encode(image, infotext, format or format_of(path), quality))


def format_of(path: Path) -> str:
    """The format a file name asks for.  Raises InvalidRequest."""
    suffix = path.suffix.lower().removeprefix(".")
    known = {"jpg": "jpeg"}.get(suffix, suffix)
    if known not in FORMATS:
        raise InvalidRequest(f"{path.name} does not end in a picture format.", "Use .png, .jpg, .webp or .gif.")
    return known


def read_metadata(path: Path | str) -> Metadata:
    """Read a picture's header and texts; pixels stay packed where the format allows.  Raises InkwashError."""
    path = Path(path)
    if not path.is_file():
        raise InkwashError(f"{path} is not a file.", "Give the path of a PNG, JPEG, WebP or GIF picture.")
    if path.stat().st_size > MAX_FILE:
        raise DamagedFile(f"{path} is larger than {MAX_FILE >> 20} MiB.", "No picture of that size is read.")
    with _refusing_bombs(path), Image.open(path) as image:
        return _metadata(image, path, MAX_PIXELS)


def read_metadata_of(data: bytes, max_pixels: int = MAX_PIXELS) -> Metadata:
    """``read_metadata`` of a file's bytes from a stranger; formats beyond Inkwash's own are not tried."""
    with _refusing_bombs("The picture"), Image.open(io.BytesIO(data), formats=list(FORMATS.values())) as image:
        return _metadata(image, "The picture", max_pixels)


def _metadata(image: Image.Image, name: Path | str, max_pixels: int) -> Metadata:
    if image.width * image.height > max_pixels:
        raise DamagedFile(f"{name} claims {image.width}x{image.height} pixels.", f"At most {max_pixels} are read.")
    texts = _texts(image)
    if image.format == "PNG" and "parameters" not in texts:
        image.load()  # PNG allows texts behind the pixels
        texts = _texts(image)
    infotext = texts.pop("parameters", "") or _user_comment(image) or _comment(image)
    return Metadata(image.format or "", image.width, image.height, image.mode, infotext, texts)


def _texts(image: Image.Image) -> dict[str, str]:
    return {key: value for key, value in image.info.items() if isinstance(key, str) and isinstance(value, str)}


def load(path: Path | str) -> Image.Image:
    """The whole picture, the right way up (a camera may only note how it was held).  Raises InkwashError."""
    read_metadata(path)  # refuses what is no picture, or too large, before pixels are unpacked
    path = Path(path)
    with _refusing_bombs(path), Image.open(path) as image:
        image.load()
        return ImageOps.exif_transpose(image)


def load_of(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """``load`` of a file's bytes from a stranger, as grey or colours of 8 bits, with what is transparent in it."""
    read_metadata_of(data, max_pixels)
    with _refusing_bombs("The picture"), Image.open(io.BytesIO(data), formats=list(FORMATS.values())) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
        if "A" in upright.getbands() or "transparency" in upright.info:
            return upright.convert("RGBA")
        return upright.convert("L" if upright.mode in ("1", "L") else "RGB")


def infotext_of(image: Image.Image) -> str:
    """The "parameters" text of a picture opened with Pillow, "" if there is none."""
    text = image.info.get("parameters", "")
    return text if isinstance(text, str) and text else _user_comment(image) or _comment(image)


def grid(images: Sequence[Image.Image], columns: int | None = None) -> Image.Image:
    """The pictures side by side, row by row; columns None: as square as possible.  Cells take the largest size."""
    if not images:
        raise ValueError("a grid needs at least one picture")
    columns = columns or math.ceil(math.sqrt(len(images)))
    width, height = max(image.width for image in images), max(image.height for image in images)
    sheet = Image.new("RGB", (columns * width, math.ceil(len(images) / columns) * height))
    for index, image in enumerate(images):
        sheet.paste(image, (index % columns * width, index // columns * height))
    return sheet


def _exif(infotext: str) -> bytes:
    """An EXIF block whose UserComment is the text in the standard's "UNICODE" form: UTF-16, big-endian as A1111's."""
    exif = Image.Exif()
    if infotext:
        comment = b"UNICODE\0" + infotext.encode("utf-16-be")
        if len(comment) > EXIF_ROOM:
            raise InvalidRequest(
                f"The picture's text has {len(infotext)} characters, more than EXIF holds.",
                "Save as PNG, which has room for it.",
            )
        exif.get_ifd(EXIF_IFD)[USER_COMMENT] = comment
    return exif.tobytes()


def _user_comment(image: Image.Image) -> str:
    """EXIF UserComment in any of its declared encodings; "" if there is none or it cannot be read."""
    value = image.getexif().get_ifd(EXIF_IFD).get(USER_COMMENT, b"")
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes) or len(value) > MAX_TEXT:
        return ""
    code, text = value[:8], value[8:]
    if code == b"UNICODE\0":
        return text.decode(_byte_order(text), errors="replace").rstrip("\0")
    if code in (b"ASCII\0\0\0", b"\0" * 8):
        return text.decode("utf-8", errors="replace").rstrip("\0 ")
    return ""


def _byte_order(text: bytes) -> str:
    """UTF-16 written without a mark: the zeros of its ASCII letters tell which end comes first."""
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    return "utf-16-le" if text[1::2].count(0) > text[0::2].count(0) else "utf-16-be"


def _comment(image: Image.Image) -> str:
    value = image.info.get("comment", b"")
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


@contextlib.contextmanager
def _refusing_bombs(path: Path | str) -> Iterator[None]:
    """Whatever a hostile or broken file provokes in Pillow becomes one error in words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limits decide; a bomb of twice Pillow's limit is still an error
            yield
    except UnidentifiedImageError as error:
        raise DamagedFile(f"{path} is not a picture.", "Give the path of a PNG, JPEG, WebP or GIF picture.") from error
    except Image.DecompressionBombError as error:
        raise DamagedFile(f"{path} unpacks to far too many pixels.", "It was refused unread.") from error
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, EOFError, MemoryError, OverflowError) as error:
        raise DamagedFile(f"{path} is damaged: {error}.", "Take the original file.") from error
