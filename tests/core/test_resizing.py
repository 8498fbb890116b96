import numpy as np
import pytest
from PIL import Image

from inkwash.core.request import ResizeMode
from inkwash.core.resizing import resize, whole_eighths


def ramp(width: int, height: int) -> Image.Image:
    """Red counts columns, green rows."""
    rows, columns = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("mode", ["just resize", "crop and resize", "resize and fill"])
@pytest.mark.parametrize("size", [(64, 64), (96, 32), (32, 96), (8, 200)])
@pytest.mark.parametrize("kind", ["RGB", "L", "RGBA"])
def test_every_mode_gives_the_size(mode: ResizeMode, size: tuple[int, int], kind: str) -> None:
    assert resize(ramp(100, 50).convert(kind), size, mode).size == size


@pytest.mark.parametrize("mode", ["just resize", "crop and resize", "resize and fill"])
def test_the_same_size_changes_no_pixel(mode: ResizeMode) -> None:
    image = ramp(40, 24)
    assert np.array_equal(np.asarray(resize(image, (40, 24), mode)), np.asarray(image))


def test_crop_keeps_the_middle_at_its_proportions() -> None:
    cropped = np.asarray(resize(ramp(200, 50), (50, 50), "crop and resize"))
    assert cropped[0, 0, 0] == 75
    assert cropped[0, -1, 0] == 124
    assert (cropped[:, 0, 1] == np.arange(50)).all()


def test_fill_keeps_everything_and_draws_out_the_edge() -> None:
    filled = np.asarray(resize(ramp(200, 50), (200, 90), "resize and fill"))
    assert (filled[20:70] == np.asarray(ramp(200, 50))).all()
    assert (filled[:20] == filled[20]).all()
    assert (filled[70:] == filled[69]).all()


def test_whole_eighths() -> None:
    assert whole_eighths((513, 7)) == (512, 8)
