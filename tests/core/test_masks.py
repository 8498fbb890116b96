import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from inkwash.core.masks import alpha_mask, as_mask, bounds, feathered, flattened


def box_mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """White in box (left, top, right, bottom; the last two not included)."""
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def test_any_picture_becomes_black_and_white() -> None:
    grey = Image.linear_gradient("L")
    assert set(np.unique(np.asarray(as_mask(grey)))) == {0, 255}
    assert np.array_equal(np.asarray(as_mask(grey, soft=True)), np.asarray(grey))
    assert np.array_equal(np.asarray(as_mask(grey, invert=True)), 255 - np.asarray(as_mask(grey)))


def test_a_drawing_on_transparency_is_its_opaque_part() -> None:
    drawing = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    drawing.paste((255, 255, 255, 255), (2, 2, 5, 5))
    assert as_mask(drawing).getbbox() == (2, 2, 5, 5)


def test_what_was_rubbed_out_is_the_alpha_mask() -> None:
    picture = Image.new("RGBA", (8, 8), (9, 9, 9, 255))
    picture.paste((0, 0, 0, 0), (1, 2, 3, 4))
    assert alpha_mask(picture).getbbox() == (1, 2, 3, 4)
    assert alpha_mask(picture.convert("RGB")).getbbox() is None
    assert flattened(picture, (1, 2, 3)).getpixel((1, 2)) == (1, 2, 3)
    assert flattened(picture).getpixel((0, 0)) == (9, 9, 9)


@pytest.mark.parametrize("blur", [0.0, 1.0, 4.0, 20.0])
def test_a_feather_lies_inside_the_mask_and_reaches_one(blur: float) -> None:
    mask = box_mask((200, 200), (30, 40, 170, 180))
    ImageDraw.Draw(mask).ellipse((90, 90, 110, 110), fill=0)  # a hole: concave edges
    share = np.asarray(feathered(mask, blur))
    assert (share[np.asarray(mask) == 0] == 0).all()
    assert share.max() == 255 if blur < 20 else share.max() > 200
    inside = share[110, 30:90].astype(int)
    assert (np.diff(inside[: int(2 * blur) + 1]) >= 0).all()
    if blur:
        assert 0 < inside[0] < 255


def test_a_feather_may_differ_downwards() -> None:
    """Of a Gaussian, 2 * Phi(d / sigma) - 1 at distance d inside of a straight edge."""
    mask = box_mask((200, 200), (30, 40, 170, 180))
    share = np.asarray(feathered(mask, 0.0, 4.0))
    assert set(np.unique(share[100])) == {0, 255}  # no blur across
    inside = share[40:60, 100] / 255
    wanted = [math.erf((depth + 0.5) / (4 * math.sqrt(2))) for depth in range(20)]
    assert np.abs(inside - wanted).max() < 0.03
    assert (np.asarray(feathered(mask, 4.0, 4.0)) == np.asarray(feathered(mask, 4.0))).all()


def test_the_pictures_border_is_no_edge() -> None:
    """A mask that reaches the border is drawn up to it."""
    share = np.asarray(feathered(box_mask((64, 64), (0, 0, 64, 32)), 4.0))
    assert (share[0] == 255).all()


def test_bounds_pad_and_take_the_proportions() -> None:
    mask = box_mask((400, 300), (100, 100, 140, 120))
    assert bounds(mask, 10, (64, 64)) == (90, 80, 150, 140)  # 60x40 padded, widened to 60x60
    assert bounds(Image.new("L", (9, 9)), 10, (64, 64)) is None


@pytest.mark.parametrize("box", [(0, 0, 5, 5), (395, 290, 400, 300), (0, 100, 400, 110), (5, 0, 20, 300)])
@pytest.mark.parametrize("size", [(64, 64), (128, 64), (64, 128)])
def test_bounds_stay_in_the_picture_and_hold_the_mask(box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    found = bounds(box_mask((400, 300), box), 16, size)
    assert found is not None
    left, top, right, bottom = found
    assert 0 <= left <= box[0] < box[2] <= right <= 400
    assert 0 <= top <= box[1] < box[3] <= bottom <= 300
