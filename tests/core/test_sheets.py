import numpy as np
import pytest
from PIL import Image

from inkwash.core.errors import InvalidRequest
from inkwash.core.sheets import GAP, PAPER, captioned, sheet, stacked

CELLS = [Image.new("RGB", (64, 48), (40 * i, 0, 0)) for i in range(6)]


def colours(page: Image.Image) -> set[int]:
    """The cells that are whole on the page, by their red, in any order."""
    pixels = np.asarray(page)
    return {i for i in range(6) if (pixels == (40 * i, 0, 0)).all(-1).sum() >= 64 * 48}


def test_a_sheet_has_every_cell_and_room_for_words() -> None:
    page = sheet(CELLS, ["steps: 5", "steps: 10", "steps: 20"], ["Euler", "DPM++ 2M"], "a title")
    assert colours(page) == set(range(6))
    assert page.width > 3 * (64 + GAP)
    assert page.height > 2 * (48 + GAP)
    assert page.getpixel((page.width - 1, page.height - 1)) == PAPER
    assert (np.asarray(page) < 60).all(-1).sum() > 100 + 64 * 48  # ink beside the black cell


def test_a_sheet_without_words_is_only_cells() -> None:
    assert sheet(CELLS, ["", "", ""], ["", ""]).size == (3 * (64 + GAP), 2 * (48 + GAP))


def test_captions_stand_below() -> None:
    page = captioned(CELLS, [f"without “word {i}” of a long prompt" for i in range(6)])
    assert colours(page) == set(range(6))
    assert captioned(CELLS, ["x"] * 6, columns=6).width == 6 * (64 + GAP)
    assert captioned(CELLS[:1], ["没有“猫”"]).width == 64 + GAP


def test_sheets_are_stacked() -> None:
    assert stacked([CELLS[0], CELLS[1].resize((10, 10))]).size == (64, 58)


def test_a_sheet_too_large_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="pixels"):
        sheet([Image.new("1", (8192, 8192))], ["a"] * 3, ["b"] * 3)
