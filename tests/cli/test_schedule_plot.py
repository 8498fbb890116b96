import pytest
from PIL import Image

from inkwash.cli.schedule_plot import HEIGHT, MARK, WIDTH, Axes, plot


def marks(sheet: Image.Image) -> int:
    """Pixels in the colour of the marks."""
    return sum(sheet.getpixel((x, y)) == MARK for x in range(sheet.width) for y in range(sheet.height))


@pytest.mark.parametrize("sigmas", [[14.6, 7.0, 1.0, 0.03, 0.0], [10.0, 5.0], [1.0, 0.0], [0.5], [1e-5, 0.0]])
def test_any_schedule_is_drawn(sigmas: list[float]) -> None:
    sheet = plot(sigmas)
    assert sheet.size == (WIDTH, HEIGHT)
    assert marks(sheet) >= 10 * len(sigmas)


def test_marks_stand_where_sigma_is() -> None:
    sigmas = [10.0, 1.0, 0.1, 0.0]
    axes = Axes(steps=3, low=-1, high=1, zero=True)
    sheet = plot(sigmas)
    for step, sigma in enumerate(sigmas):
        assert sheet.getpixel((round(axes.x(step)), round(axes.y(sigma)) - 1)) == MARK
    decades = [axes.y(10.0**power) for power in (1, 0, -1)]
    assert decades[1] - decades[0] == pytest.approx(decades[2] - decades[1])  # logarithmic: equal distances
