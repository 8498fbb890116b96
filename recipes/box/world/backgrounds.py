"""What is behind the subject: ten colours, gradients, and seven drawn places, with the words that mean them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Paint = Callable[[np.random.Generator, int], NDArray[np.uint8]]

COLOURS: dict[str, tuple[Colour, str]] = {
    "red": ((214, 48, 44), "红色"),
    "orange": ((245, 145, 40), "橙色"),
    "yellow": ((250, 218, 70), "黄色"),
    "green": ((70, 170, 80), "绿色"),
    "blue": ((60, 120, 220), "蓝色"),
    "purple": ((140, 80, 190), "紫色"),
    "pink": ((245, 165, 195), "粉色"),
    "white": ((250, 250, 250), "白色"),
    "black": ((22, 22, 24), "黑色"),
    "gray": ((140, 140, 144), "灰色"),
}


@dataclass(frozen=True)
class Background:
    name: str
    english: tuple[str, ...]  # phrases that follow a subject: "on the grass"
    tags: tuple[str, ...]
    chinese: tuple[str, ...]  # phrases that stand before or after a subject: "草地上"
    paint: Paint


def _jitter(rng: np.random.Generator, colour: Colour, spread: int = 8) -> NDArray[np.float32]:
    return np.clip(np.array(colour) + rng.integers(-spread, spread + 1, 3), 0, 255).astype(np.float32)


def _vertical(top: NDArray[np.float32], bottom: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    mix = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    column = (top * (1 - mix) + bottom * mix).astype(np.uint8)
    return np.repeat(column[:, None, :], width, axis=1)


def _plain(colour: Colour) -> Paint:
    def paint(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
        return np.full((side, side, 3), _jitter(rng, colour), dtype=np.uint8)

    return paint


def _gradient(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Between two different bright colours, along a random one of four directions."""
    bright = [COLOURS[name][0] for name in ("red", "orange", "yellow", "green", "blue", "purple", "pink")]
    first, second = rng.choice(len(bright), 2, replace=False)
    return np.ascontiguousarray(
        np.rot90(_vertical(_jitter(rng, bright[first]), _jitter(rng, bright[second]), side, side), int(rng.integers(4)))
    )


def _sky(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    picture = Image.fromarray(_vertical(_jitter(rng, (86, 160, 235)), _jitter(rng, (190, 226, 250)), side, side))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(2, 5)):
        x, y, w = rng.uniform(0, side), rng.uniform(0.05, 0.9) * side, rng.uniform(0.07, 0.13) * side
        for dx, dy, r in ((-1.1, 0.25, 0.7), (0, 0, 1), (1.1, 0.25, 0.75)):
            draw.ellipse((x + (dx - r) * w, y + (dy - r * 0.6) * w, x + (dx + r) * w, y + (dy + r * 0.6) * w), "white")
    return np.array(picture)


def _horizon(rng: np.random.Generator, side: int, sky: Sequence[Colour], ground: Sequence[Colour]) -> Image.Image:
    line = int(side * rng.uniform(0.42, 0.56))
    top = _vertical(_jitter(rng, sky[0]), _jitter(rng, sky[1]), line, side)
    bottom = _vertical(_jitter(rng, ground[0]), _jitter(rng, ground[1]), side - line, side)
    picture = Image.fromarray(np.concatenate([top, bottom]))
    picture.info["line"] = line
    return picture


def _sea(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    picture = _horizon(rng, side, ((150, 205, 245), (215, 236, 250)), ((40, 130, 190), (10, 70, 140)))
    draw, line = ImageDraw.Draw(picture), picture.info["line"]
    for _ in range(14):
        x, y, w = rng.uniform(0, side), rng.uniform(line + 3, side), rng.uniform(0.05, 0.12) * side
        draw.arc((x - w, y - w / 3, x + w, y + w / 3), 200, 340, (150, 205, 235), max(1, side // 100))
    return np.array(picture)


def _grass(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    picture = _horizon(rng, side, ((165, 215, 250), (225, 242, 252)), ((110, 190, 70), (60, 140, 50)))
    draw, line = ImageDraw.Draw(picture), picture.info["line"]
    for _ in range(36):
        x, y, h = rng.uniform(0, side), rng.uniform(line + 4, side), rng.uniform(0.03, 0.06) * side
        draw.line((x, y, x + rng.uniform(-0.4, 0.4) * h, y - h), (44, 112, 40), max(1, side // 100))
    return np.array(picture)


def _desert(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    picture = _horizon(rng, side, ((250, 222, 160), (253, 240, 205)), ((236, 190, 110), (206, 150, 76)))
    draw, line = ImageDraw.Draw(picture), picture.info["line"]
    for shade in ((226, 176, 96), (214, 160, 84)):
        x, w = rng.uniform(0, side), rng.uniform(0.4, 0.8) * side
        y, h = line + rng.uniform(0.1, 0.4) * side, 0.16 * side
        draw.ellipse((x - w, y - h, x + w, y + h * 3), shade)
    return np.array(picture)


def _snow(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    picture = _horizon(rng, side, ((150, 175, 200), (205, 218, 230)), ((240, 245, 250), (222, 232, 242)))
    draw = ImageDraw.Draw(picture)
    for _ in range(30):
        x, y, r = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(0.008, 0.017) * side
        draw.ellipse((x - r, y - r, x + r, y + r), "white")
    return np.array(picture)


def _night(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    picture = Image.fromarray(_vertical(_jitter(rng, (8, 10, 40), 4), _jitter(rng, (34, 40, 96), 6), side, side))
    draw = ImageDraw.Draw(picture)
    for _ in range(26):
        x, y, r = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(0.006, 0.015) * side
        draw.ellipse((x - r, y - r, x + r, y + r), (255, 250, 215))
    return np.array(picture)


def _sunset(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    line = int(side * rng.uniform(0.62, 0.74))
    sky = _vertical(_jitter(rng, (110, 60, 130)), _jitter(rng, (255, 160, 70)), line, side)
    land = _vertical(_jitter(rng, (96, 44, 70)), _jitter(rng, (50, 24, 50)), side - line, side)
    return np.concatenate([sky, land])


def _backgrounds() -> dict[str, Background]:
    found = {
        name: Background(
            name,
            (f"on a {name} background", f"in front of a {name} background", f"against a {name} wall", f"on {name}"),
            (f"{name} background", f"simple background, {name} background"),
            (f"{chinese}背景", f"{chinese}的背景", f"{chinese}背景上"),
            _plain(colour),
        )
        for name, (colour, chinese) in COLOURS.items()
    }
    places: tuple[tuple[str, str, str, str, Paint], ...] = (
        ("gradient", "on a gradient background;on a colourful gradient",
         "gradient background;colorful gradient", "渐变背景;彩色渐变背景", _gradient),
        ("sky", "in the sky;in a blue sky with clouds;among the clouds",
         "sky;blue sky, clouds;cloudy sky", "天空中;蓝天白云;天上", _sky),
        ("sea", "at sea;on the sea;in the ocean;by the sea",
         "sea;ocean;sea, waves", "大海上;海上;海边", _sea),
        ("grass", "on the grass;in a meadow;on a green field",
         "grass;meadow;grassland", "草地上;草原上;草坪上", _grass),
        ("desert", "in the desert;on the sand;among sand dunes",
         "desert;sand;sand dunes", "沙漠里;沙漠中;沙地上", _desert),
        ("snow", "in the snow;on a snowy day;on a snow field",
         "snow;snowing, winter;snow field", "雪地里;雪中;下雪天", _snow),
        ("night", "at night;under the stars;in the night sky with stars",
         "night;starry night;night sky, stars", "夜空下;星空下;夜晚", _night),
        ("sunset", "at sunset;in the evening glow;at dusk",
         "sunset;dusk, evening;sunset sky", "夕阳下;日落时;黄昏时", _sunset),
    )  # fmt: skip
    for name, english, tags, chinese, paint in places:
        found[name] = Background(
            name, tuple(english.split(";")), tuple(tags.split(";")), tuple(chinese.split(";")), paint
        )
    return found


BACKGROUNDS = _backgrounds()
