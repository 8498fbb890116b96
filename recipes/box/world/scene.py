"""One picture before it is drawn: a ``Scene`` says everything, ``render`` draws it, ``draw_scene`` invents one."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .backgrounds import BACKGROUNDS, COLOURS
from .styles import FLAWS, ON_PAPER, STYLES, draw_figure, finish, recolour, spoil
from .subjects import FIRST, Subject

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"  # Debian's fonts-noto-color-emoji
TINTS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")  # what "a blue cat" may say
Name = TypeVar("Name", bound=str)
Kind = Literal["one", "count", "pair"]
Place = Literal["centre", "left", "right", "above", "below"]
Size = Literal["small", "middle", "big"]
KINDS: dict[Kind, float] = {"one": 0.7, "count": 0.14, "pair": 0.16}
PLACES: dict[Place, float] = {"centre": 0.76, "left": 0.06, "right": 0.06, "above": 0.06, "below": 0.06}
SIZES: dict[Size, float] = {"small": 0.1, "middle": 0.8, "big": 0.1}


@dataclass(frozen=True)
class Figure:
    subject: int  # index into the world's subjects
    tint: str  # one of TINTS, or "" for its own colours
    x: float  # centre, 0..1 of the side
    y: float
    size: float  # longer edge, 0..1 of the side


@dataclass(frozen=True)
class Scene:
    kind: Kind
    figures: tuple[Figure, ...]
    place: Place  # of a single figure; of the first figure of a pair, seen from the second
    size: Size
    background: str
    style: str
    flaw: str  # "" for a clean picture
    seed: int  # of everything drawn at random
    zoom: float = 1.0  # above 1: only a part of the scene, seen closer
    left: float = 0.0  # where that part begins, 0..1 of the room there is
    top: float = 0.0


def held_out(subject: int, other: str) -> bool:
    """Whether this subject never meets this background, tint, style or second subject in training (about 1 in 9)."""
    return zlib.crc32(f"{subject}/{other}".encode()) % 9 == 0


def combinations(scene: Scene) -> list[tuple[int, str]]:
    """The (subject, other) combinations that a scene shows, the unremarkable ones left out."""
    first = scene.figures[0].subject
    found = [(first, scene.background)] if scene.style not in ON_PAPER else []
    found += [(figure.subject, "tint " + figure.tint) for figure in scene.figures if figure.tint]
    if scene.style != "plain":
        found.append((first, "style " + scene.style))
    if scene.kind == "count":
        found.append((first, f"count {len(scene.figures)}"))
    if scene.kind == "pair":
        found += [(scene.figures[1].subject, scene.background)]
        low, high = sorted(figure.subject for figure in scene.figures)
        found.append((low, f"with {high}"))
    return found


def seen_in_training(scene: Scene) -> bool:
    return not any(held_out(subject, other) for subject, other in combinations(scene))


def draw_scene(rng: np.random.Generator, world: tuple[Subject, ...], *, clean: float = 0.87) -> Scene:
    """Any scene of the world, held-out combinations included; ``clean`` is the share without flaw."""
    kind = _one_of(rng, KINDS)
    style = _one_of(rng, {name: 0.68 if name == "plain" else 0.08 for name in STYLES})
    background = "white" if style in ON_PAPER else _draw_background(rng)
    place, size, spots = _arrange(rng, kind)
    subjects = _draw_subjects(rng, world, 2 if kind == "pair" else 1)
    tints = [_draw_tint(rng, world[subject], style) for subject in subjects]
    figures = tuple(
        Figure(subjects[i % len(subjects)], tints[i % len(tints)], *(round(float(number), 3) for number in spot))
        for i, spot in enumerate(spots)
    )
    flaw = str(rng.choice(list(FLAWS))) if rng.random() > clean else ""
    return Scene(kind, figures, place, size, background, style, flaw, int(rng.integers(2**31)))


def draw_training_scene(rng: np.random.Generator, world: tuple[Subject, ...]) -> Scene:
    while True:
        scene = draw_scene(rng, world)
        if seen_in_training(scene):
            return scene


def closer(scene: Scene, rng: np.random.Generator) -> Scene:
    """A part of a scene of one figure, as the tiles of an enlarged picture show it; other scenes as they are."""
    if scene.kind != "one" or scene.size == "small":
        return scene
    zoom, left, top = rng.uniform(1.2, 2.0), rng.random(), rng.random()
    return replace(scene, zoom=round(zoom, 3), left=round(left, 3), top=round(top, 3))


def render(scene: Scene, world: tuple[Subject, ...], side: int) -> NDArray[np.uint8]:
    """The picture, ``(side, side, 3)``; the same scene is always the same picture."""
    rng, whole = np.random.default_rng(scene.seed), round(side * scene.zoom)
    picture = _draw(scene, world, whole, rng)
    left, top = round(scene.left * (whole - side)), round(scene.top * (whole - side))
    picture = picture.crop((left, top, left + side, top + side))
    if scene.flaw:
        picture = spoil(picture, scene.flaw, rng)
    return np.asarray(picture)


def _draw(scene: Scene, world: tuple[Subject, ...], side: int, rng: np.random.Generator) -> Image.Image:
    picture = Image.fromarray(BACKGROUNDS[scene.background].paint(rng, side))
    for figure in scene.figures:
        drawn = draw_figure(_sized(world[figure.subject].glyph, figure.tint, round(figure.size * side)), scene.style)
        corner = (round(figure.x * side - drawn.width / 2), round(figure.y * side - drawn.height / 2))
        picture.paste(drawn, corner, drawn)
    return finish(picture, scene.style, rng)


def _one_of(rng: np.random.Generator, shares: dict[Name, float]) -> Name:
    names = list(shares)
    return names[rng.choice(len(names), p=list(shares.values()))]


def _draw_background(rng: np.random.Generator) -> str:
    """Places a little more often than plain colours; white most of these, as it is what no words mean."""
    names = list(BACKGROUNDS)
    weights = np.array([2.6 if name == "white" else 1.0 if name in COLOURS else 1.5 for name in names])
    return names[rng.choice(len(names), p=weights / weights.sum())]


def _draw_subjects(rng: np.random.Generator, world: tuple[Subject, ...], count: int) -> list[int]:
    weights = np.where(np.arange(len(world)) < FIRST, 2.0, 1.0)
    return [int(i) for i in rng.choice(len(world), count, replace=False, p=weights / weights.sum())]


def _draw_tint(rng: np.random.Generator, subject: Subject, style: str) -> str:
    if not subject.recolour or style in ON_PAPER or rng.random() > 0.2:
        return ""
    return str(rng.choice([tint for tint in TINTS if not any(tint in name for name in subject.english)]))


def _arrange(rng: np.random.Generator, kind: Kind) -> tuple[Place, Size, list[tuple[float, float, float]]]:
    """Place word, size word, and (x, y, size) of each figure."""
    wobble = rng.uniform(-0.03, 0.03, 2)
    if kind == "one":
        place = _one_of(rng, PLACES)
        size = _one_of(rng, SIZES) if place == "centre" else "middle"
        span = {"small": (0.3, 0.36), "middle": (0.58, 0.7), "big": (0.86, 0.96)}[size]
        if place != "centre":
            span = (0.4, 0.46)
        x = {"left": 0.26, "right": 0.74}.get(place, 0.5) + wobble[0]
        y = {"above": 0.26, "below": 0.74}.get(place, 0.52) + wobble[1]
        return place, size, [(x, y, rng.uniform(*span))]
    count = 2 if kind == "pair" else int(rng.integers(2, 4))
    if count == 3:
        s = rng.uniform(0.3, 0.34)
        row = [(0.18, 0.52), (0.5, 0.52), (0.82, 0.52)]
        if rng.random() < 0.5:
            row, s = [(0.5, 0.28), (0.27, 0.7), (0.73, 0.7)], s * 1.2
        return "centre", "middle", [(x + wobble[0] * 0.5, y + wobble[1], s) for x, y in row]
    s = rng.uniform(0.41, 0.46)
    order: Place = "above" if kind == "pair" and rng.random() < 0.25 else "left"
    ends = [(0.26, 0.52), (0.74, 0.52)] if order == "left" else [(0.5, 0.26), (0.5, 0.75)]
    return order, "middle", [(x + wobble[0] * 0.5, y + wobble[1] * 0.5, s) for x, y in ends]


@lru_cache(maxsize=1024)
def _glyph(glyph: str, tint: str) -> Image.Image:
    """The emoji at the font's own 109 pixels, cut to its ink, recoloured."""
    font = ImageFont.truetype(FONT, 109)
    canvas = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(canvas).text((8, 8), glyph, font=font, embedded_color=True)
    cut = canvas.crop(canvas.getchannel("A").getbbox())
    return recolour(cut, COLOURS[tint][0]) if tint else cut


@lru_cache(maxsize=16384)
def _sized(glyph: str, tint: str, pixels: int) -> Image.Image:
    cut = _glyph(glyph, tint)
    scale = pixels / max(cut.size)
    size = (max(1, round(cut.width * scale)), max(1, round(cut.height * scale)))
    return cut.convert("RGBa").resize(size, Image.Resampling.BICUBIC).convert("RGBA")
