"""A noise schedule drawn as a curve: sigma over steps, on a logarithmic axis, the final zero below a break."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1000, 600
LEFT, RIGHT, TOP, BOTTOM = 96, 36, 72, 76
ZERO_GAP = 44  # pixels between the lowest decade and the line of sigma = 0
SCALE = 2  # drawn larger and reduced, which smooths every edge

PAPER = (252, 252, 250)
INK = (32, 40, 56)
GREY = (120, 126, 138)
GRID = (228, 230, 234)
CURVE = (36, 99, 178)
MARK = (214, 84, 52)


@dataclass(frozen=True)
class Axes:
    """Where a step and a sigma stand on the sheet.  Decades low..high of sigma fill the plot's height."""

    steps: int
    low: int
    high: int
    zero: bool  # the schedule ends at 0

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / max(self.steps, 1)

    def y(self, sigma: float) -> float:
        floor = HEIGHT - BOTTOM - (ZERO_GAP if self.zero else 0)
        if sigma <= 0:
            return HEIGHT - BOTTOM
        return floor - (floor - TOP) * (math.log10(sigma) - self.low) / (self.high - self.low)


def plot(sigmas: Sequence[float]) -> Image.Image:
    """An RGB picture of 1000x600.  sigmas: descending, the last may be 0; step k goes from sigmas[k] to sigmas[k+1]."""
    positive = [sigma for sigma in sigmas if sigma > 0] or [1.0]
    low = math.floor(math.log10(min(positive)))
    high = max(math.ceil(math.log10(max(positive))), low + 1)
    axes = Axes(len(sigmas) - 1, low, high, zero=sigmas[-1] <= 0)
    sheet = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
    pen = Pen(ImageDraw.Draw(sheet))
    _frame(pen, axes, sigmas)
    points = [(axes.x(step), axes.y(sigma)) for step, sigma in enumerate(sigmas)]
    solid = points[:-1] if axes.zero else points
    pen.line(solid, CURVE, 3)
    if axes.zero and len(points) > 1:
        pen.dashed(points[-2], points[-1], CURVE)
    size = 5 if len(points) <= 60 else 3
    for point in points:
        pen.dot(point, size, MARK)
    return sheet.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _frame(pen: Pen, axes: Axes, sigmas: Sequence[float]) -> None:
    """Title, grid, axes and their numbers."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    last = "0" if sigmas[-1] <= 0 else f"{sigmas[-1]:.3g}"
    pen.text((LEFT, 22), f"Noise schedule: {axes.steps} steps, sigma {sigmas[0]:.4g} to {last}", 22, INK, "la")
    for decade in range(axes.low, axes.high + 1):
        for tenth in range(1, 10) if decade < axes.high else (1,):
            y = axes.y(tenth * 10.0**decade)
            pen.line([(LEFT, y), (right, y)], GRID, 1 if tenth > 1 else 2)
        pen.text((LEFT - 12, axes.y(10.0**decade)), f"{10.0**decade:g}", 17, GREY, "rm")
    if axes.zero:
        pen.text((LEFT - 12, bottom), "0", 17, GREY, "rm")
    stride = _stride(axes.steps)
    for step in range(0, axes.steps + 1, stride):
        pen.line([(axes.x(step), bottom), (axes.x(step), bottom + 6)], GREY, 1)
        pen.text((axes.x(step), bottom + 12), str(step), 17, GREY, "ma")
    pen.line([(LEFT, TOP), (LEFT, bottom), (right, bottom)], GREY, 2)
    pen.text(((LEFT + right) / 2, HEIGHT - 16), "step", 17, GREY, "md")
    pen.text((LEFT - 12, TOP - 14), "sigma", 17, GREY, "rd")


def _stride(steps: int) -> int:
    """A round distance between numbers that gives at most about 20 of them."""
    return next((stride for stride in (1, 2, 5, 10, 20, 50, 100) if steps <= 20 * stride), 250)


@dataclass(frozen=True)
class Pen:
    """Draws on the enlarged sheet in the coordinates of the finished one."""

    sheet: ImageDraw.ImageDraw

    def line(self, points: Sequence[tuple[float, float]], colour: tuple[int, int, int], width: int) -> None:
        if len(points) > 1:
            self.sheet.line([(x * SCALE, y * SCALE) for x, y in points], colour, width * SCALE, joint="curve")

    def dashed(self, start: tuple[float, float], end: tuple[float, float], colour: tuple[int, int, int]) -> None:
        dashes = max(int(math.dist(start, end) // 12), 1)
        for index in range(dashes):
            ends = [(index + part) / dashes for part in (0.0, 0.55)]
            points = [(start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t) for t in ends]
            self.line(points, colour, 2)

    def dot(self, point: tuple[float, float], radius: int, colour: tuple[int, int, int]) -> None:
        x, y, size = point[0] * SCALE, point[1] * SCALE, radius * SCALE
        self.sheet.ellipse((x - size, y - size, x + size, y + size), colour, PAPER, SCALE)

    def text(self, point: tuple[float, float], text: str, size: int, colour: tuple[int, int, int], anchor: str) -> None:
        font = ImageFont.load_default(size * SCALE)
        if not isinstance(font, ImageFont.FreeTypeFont):
            anchor = "la"  # Pillow without FreeType has one bitmap font and no anchors
        self.sheet.text((point[0] * SCALE, point[1] * SCALE), text, colour, font, anchor)
