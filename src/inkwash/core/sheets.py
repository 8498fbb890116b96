"""Many pictures on one, with words above the columns and beside the rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from inkwash.core.errors import InvalidRequest
from inkwash.core.images import MAX_PIXELS

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER, INK, GAP = (255, 255, 255), (20, 20, 20), 4
# Fonts with Chinese letters where systems have them; Pillow's own has none.
CHINESE = (
    "NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "msyh.ttc", "PingFang.ttc", "wqy-microhei.ttc", "simsun.ttc",
    "DroidSansFallback.ttf",
)  # fmt: skip


def sheet(
    cells: Sequence[Image.Image], columns: Sequence[str], rows: Sequence[str], title: str = "", gap: int = GAP
) -> Image.Image:
    """cells: row by row, at most len(columns) x len(rows); missing ones stay empty.  gap: pixels between them.

    Raises InvalidRequest.
    """
    width, height = _largest(cells)
    font = _font([*columns, *rows, title], max(12, min(width, height) // 16))
    line = _height(font)
    left = max((_width(text, font) for text in rows), default=0)
    left = min(left + 2 * GAP, 3 * width) if left else 0
    top = (line * (1 + max(_lines(text, font, width) for text in columns)) if any(columns) else 0) + line * bool(title)
    size = left + len(columns) * (width + gap), top + len(rows) * (height + gap)
    page = _page(size)
    draw = ImageDraw.Draw(page)
    if title:
        draw.text((GAP, GAP), title, INK, font)
    for index, text in enumerate(columns):
        place = left + index * (width + gap) + GAP, line * bool(title) + GAP
        draw.multiline_text(place, "\n".join(_wrapped(text, font, width)), INK, font)
    for index, text in enumerate(rows):
        draw.text((GAP, top + index * (height + gap) + height // 2), text, INK, font)
    for index, cell in enumerate(cells):
        place = left + index % len(columns) * (width + gap), top + index // len(columns) * (height + gap)
        page.paste(cell, place)
    return page


def captioned(
    cells: Sequence[Image.Image], captions: Sequence[str], columns: int | None = None, gap: int = GAP
) -> Image.Image:
    """Pictures as near to a square as possible, each with words below it."""
    columns = columns or math.ceil(math.sqrt(len(cells)))
    width, height = _largest(cells)
    font = _font(captions, max(12, min(width, height) // 16))
    room = _height(font) * max(_lines(text, font, width) for text in captions) + 2 * GAP
    page = _page((columns * (width + gap), math.ceil(len(cells) / columns) * (height + room)))
    draw = ImageDraw.Draw(page)
    for index, (cell, text) in enumerate(zip(cells, captions, strict=False)):
        left, top = index % columns * (width + gap), index // columns * (height + room)
        page.paste(cell, (left, top))
        draw.multiline_text((left + GAP, top + height + GAP), "\n".join(_wrapped(text, font, width)), INK, font)
    return page


def plot(
    cells: Sequence[Image.Image], columns: Sequence[str], rows: Sequence[str], titles: Sequence[str]
) -> Image.Image:
    """Sheets of columns x rows cells, one for each title, one below the other."""
    each = len(columns) * len(rows)
    parts = [cells[first : first + each] for first in range(0, len(cells), each)]
    return stacked([sheet(part, columns, rows, title) for part, title in zip(parts, titles, strict=False)])


def stacked(sheets: Sequence[Image.Image]) -> Image.Image:
    """Sheets one below the other."""
    width, height = max(page.width for page in sheets), sum(page.height for page in sheets)
    page = _page((width, height))
    top = 0
    for single in sheets:
        page.paste(single, (0, top))
        top += single.height
    return page


def _page(size: tuple[int, int]) -> Image.Image:
    if size[0] * size[1] > MAX_PIXELS:
        raise InvalidRequest(f"The sheet would have {size[0]}x{size[1]} pixels.", "Take fewer cells, or smaller ones.")
    return Image.new("RGB", size, PAPER)


def _largest(cells: Sequence[Image.Image]) -> tuple[int, int]:
    return max(cell.width for cell in cells), max(cell.height for cell in cells)


def _font(texts: Sequence[str], size: int) -> Font:
    if all(ord(letter) < 0x250 or letter in "“”’" for text in texts for letter in text):
        return ImageFont.load_default(size)
    for name in CHINESE:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _width(text: str, font: Font) -> int:
    return math.ceil(font.getlength(text))


def _height(font: Font) -> int:
    return math.ceil((font.getbbox("Ág")[3]) * 1.25)


def _lines(text: str, font: Font, width: int) -> int:
    return len(_wrapped(text, font, width))


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    """Lines no wider than ``width`` where words allow it; at most three."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and _width(joined, font) <= width - 2 * GAP:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines[:3] or [""]
