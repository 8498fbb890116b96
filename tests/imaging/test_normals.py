import numpy as np
import pytest
from PIL import Image

from inkwash.imaging.normals import normal_map
from inkwash.imaging.sharpness import sharpness


def test_a_level_surface_points_at_the_viewer() -> None:
    assert set(normal_map(Image.new("L", (9, 7), 80)).getdata()) == {(128, 128, 255)}


@pytest.mark.parametrize(
    ("axis", "green_down", "channel", "sign"), [(1, False, 0, -1), (0, False, 1, 1), (0, True, 1, -1)]
)
def test_a_slope_has_the_normal_of_its_plane(axis: int, green_down: bool, channel: int, sign: int) -> None:
    """Two levels a pixel: z rises by 8 * 2 / 255 a pixel, so the normal is (-s, 0, 1) / sqrt(1 + s^2)."""
    ramp = np.arange(20) * 2
    heights = np.broadcast_to(ramp if axis == 1 else ramp[:, None], (20, 20)).astype(np.uint8)
    slope = 8 * 2 / 255
    expected = (1 + sign * slope / np.hypot(1, slope)) / 2 * 255
    found = np.asarray(normal_map(Image.fromarray(heights), green_down=green_down))[5:15, 5:15, channel]
    assert np.abs(found - expected).max() <= 0.5


def test_a_blurred_picture_is_less_sharp() -> None:
    from PIL import ImageFilter

    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
    blurred = [sharpness(noise.filter(ImageFilter.GaussianBlur(radius))) for radius in (1, 2, 4)]
    assert sharpness(noise) > blurred[0] > blurred[1] > blurred[2] > 0
    assert sharpness(Image.new("RGB", (8, 8), (3, 4, 5))) == 0
    assert sharpness(Image.new("L", (2, 2))) == 0


def test_sharpness_equals_scipys_laplacian() -> None:
    from scipy.ndimage import laplace

    grey = np.random.default_rng(1).integers(0, 256, (20, 30), dtype=np.uint8)
    assert np.isclose(sharpness(Image.fromarray(grey)), laplace(grey.astype(float))[1:-1, 1:-1].var())
