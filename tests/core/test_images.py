import contextlib
import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageChops, PngImagePlugin

from inkwash.core import images
from inkwash.core.errors import DamagedFile, InkwashError, InvalidRequest

LATIN = "a cat\nNegative prompt: dög\nSteps: 20, Sampler: Euler, Seed: 1"
CHINESE = "一只可爱的猫 \U0001f408\nSteps: 20, Sampler: Euler, Seed: 1"


@pytest.fixture
def picture() -> Image.Image:
    return Image.linear_gradient("L").resize((64, 48)).convert("RGB")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif"])
@pytest.mark.parametrize("text", [LATIN, CHINESE, ""])
def test_the_text_comes_back(tmp_path: Path, picture: Image.Image, suffix: str, text: str) -> None:
    path = tmp_path / f"cat{suffix}"
    images.save(picture, path, text)
    found = images.read_metadata(path)
    assert found.infotext == text
    assert (found.width, found.height) == (64, 48)


def test_png_keeps_pixels_and_uses_the_chunk_a1111_reads(tmp_path: Path, picture: Image.Image) -> None:
    path = tmp_path / "cat.png"
    images.save(picture, path, LATIN)
    data = path.read_bytes()
    assert b"tEXtparameters\0" + LATIN.encode("latin-1") in data
    with Image.open(path) as again:
        assert ImageChops.difference(picture, again.convert("RGB")).getbbox() is None
    images.save(picture, path, CHINESE)
    assert b"iTXtparameters\0" in path.read_bytes()


def test_jpeg_comment_is_the_standards_unicode_form(tmp_path: Path, picture: Image.Image) -> None:
    """EXIF 2.32: an 8-byte code, then UTF-16; A1111 reads it big-endian."""
    path = tmp_path / "cat.jpg"
    images.save(picture, path, CHINESE)
    assert b"UNICODE\0" + CHINESE.encode("utf-16-be") in path.read_bytes()


def test_a_little_endian_comment_is_read_too(tmp_path: Path, picture: Image.Image) -> None:
    exif = Image.Exif()
    exif.get_ifd(images.EXIF_IFD)[images.USER_COMMENT] = b"UNICODE\0" + LATIN.encode("utf-16-le")
    picture.save(tmp_path / "cat.jpg", exif=exif)
    assert images.read_metadata(tmp_path / "cat.jpg").infotext == LATIN


def test_text_behind_the_pixels_is_found(tmp_path: Path, picture: Image.Image) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    body = b"tEXt" + b"parameters\0" + LATIN.encode("latin-1")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = buffer.getvalue()
    path = tmp_path / "late.png"
    path.write_bytes(data[:-12] + chunk + data[-12:])  # before the 12 bytes of IEND
    assert images.read_metadata(path).infotext == LATIN


def test_webp_at_100_is_lossless(tmp_path: Path, picture: Image.Image) -> None:
    images.save(picture, tmp_path / "cat.webp", quality=100)
    with Image.open(tmp_path / "cat.webp") as again:
        assert ImageChops.difference(picture, again.convert("RGB")).getbbox() is None


def test_a_text_too_long_for_exif_is_refused_in_words(tmp_path: Path, picture: Image.Image) -> None:
    with pytest.raises(InvalidRequest, match="EXIF"):
        images.save(picture, tmp_path / "cat.jpg", "x" * 40_000)
    assert list(tmp_path.iterdir()) == []


def test_other_png_texts_are_kept_apart(tmp_path: Path, picture: Image.Image) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", LATIN)
    chunks.add_text("workflow", "{}")
    picture.save(tmp_path / "cat.png", pnginfo=chunks)
    assert images.read_metadata(tmp_path / "cat.png").texts == {"workflow": "{}"}


def test_bombs_are_refused(tmp_path: Path, picture: Image.Image) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", "a" * (images.MAX_TEXT * 8), zip=True)
    picture.save(tmp_path / "text.png", pnginfo=chunks)
    with pytest.raises(DamagedFile):
        images.read_metadata(tmp_path / "text.png")
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = b"IHDR" + header
    ihdr = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "pixels.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + ihdr + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )
    with pytest.raises(DamagedFile):
        images.read_metadata(tmp_path / "pixels.png")


def test_truncated_or_foreign_files_raise_only_our_errors(tmp_path: Path, picture: Image.Image) -> None:
    for suffix in (".png", ".jpg", ".webp", ".gif"):
        whole = tmp_path / f"whole{suffix}"
        images.save(picture, whole, CHINESE)
        data = whole.read_bytes()
        for percent in range(0, 100, 7):
            part = tmp_path / f"part{suffix}"
            part.write_bytes(data[: len(data) * percent // 100])
            with contextlib.suppress(InkwashError):
                images.read_metadata(part)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DamagedFile, match="not a picture"):
        images.read_metadata(tmp_path / "text.png")


def test_grid_places_pictures_row_by_row() -> None:
    colours = ["red", "green", "blue"]
    sheet = images.grid([Image.new("RGB", (4, 2), colour) for colour in colours])
    assert sheet.size == (8, 4)
    assert [sheet.getpixel(at) for at in ((0, 0), (4, 0), (0, 2), (4, 2))] == [
        (255, 0, 0), (0, 128, 0), (0, 0, 255), (0, 0, 0),
    ]  # fmt: skip
