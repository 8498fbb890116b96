import numpy as np
from PIL import Image

from inkwash.imaging.fill import fill


def test_colours_flow_in_and_nothing_else_changes() -> None:
    picture = Image.new("RGB", (64, 48), (200, 10, 10))
    picture.paste((10, 10, 200), (32, 0, 64, 48))
    mask = Image.new("L", (64, 48))
    mask.paste(255, (16, 12, 48, 36))
    before = np.asarray(picture).copy()
    picture.paste((0, 255, 0), (20, 16, 44, 32))  # hidden by the mask: it must not be seen
    filled = np.asarray(fill(picture, mask)).astype(int)
    outside = np.asarray(mask) == 0
    assert (filled[outside] == before[outside]).all()
    assert filled[24, 18, 0] > filled[24, 18, 2] + 100  # red at the left
    assert filled[24, 45, 2] > filled[24, 45, 0] + 100  # blue at the right
    assert filled[..., 1].max() <= 10


def test_a_flat_picture_stays_flat() -> None:
    flat = Image.new("RGB", (40, 40), (7, 77, 177))
    mask = Image.new("L", (40, 40))
    mask.paste(255, (0, 0, 40, 20))
    assert (np.asarray(fill(flat, mask)) == np.asarray(flat)).all()


def test_a_mask_over_everything_leaves_the_picture() -> None:
    flat = Image.new("RGB", (8, 8), (1, 2, 3))
    assert fill(flat, Image.new("L", (8, 8), 255)).getpixel((0, 0)) == (1, 2, 3)
