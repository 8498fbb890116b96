"""How much of a seam there is in pictures put together from tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inkwash.core.boxes import Box

CELL = 8  # pixels of a latent
RHYTHMS = (32, 16, CELL)
"""Pixels after which a picture may repeat a habit: of the box's coarsest latents, and of a source enlarged 4 times."""
FRAME = 16  # pixels at the picture's own border, where no line is looked at
REACH = 4  # pixels on either side of a line
FAR = 64  # pixels between a line and what it is held against

Light = NDArray[np.float64]  # (H, W), 0..255


@dataclass(frozen=True)
class Seam:
    """ratio: of the step across tiles' lines to that elsewhere, and to the same without tiles; 1: no seam.

    error: its standard error over the lines.
    """

    ratio: float
    error: float
    lines: int


def light(image: Image.Image) -> Light:
    return np.asarray(image.convert("L"), dtype=np.float64)


def lines(boxes: Sequence[Box], axis: int) -> list[int]:
    """Where neighbouring tiles begin, end, and are halfway from one to the other, in pixels.  axis: 0 for rows."""
    starts = sorted({(box.top, box.left)[axis] for box in boxes})
    length = (boxes[0].height, boxes[0].width)[axis]
    shared = [(start, before + length) for before, start in pairwise(starts)]
    return sorted({CELL * place for start, end in shared for place in (start, end)}
                  | {CELL * (start + end) // 2 for start, end in shared})  # fmt: skip


def elsewhere(place: int, met: Sequence[int], side: int) -> list[int]:
    """The nearest lines before and behind at which no tile begins or ends, in step with this one's rhythm."""
    for rhythm in RHYTHMS:
        ways = [range(place + way * rhythm, place + way * (FAR + 1), way * rhythm) for way in (-1, 1)]
        found = [next((at for at in way if at not in met and FRAME <= at <= side - FRAME), None) for way in ways]
        if None not in found:
            return [at for at in found if at is not None]
    return []


def steps(whole: Light, axis: int) -> NDArray[np.float64]:
    """How much lightness changes across every line, in parts of what it changes within ``REACH`` pixels around."""
    change = np.abs(np.diff(whole, axis=axis, prepend=0)).mean(1 - axis)
    found = np.full(len(change), np.nan)
    for place in range(REACH + 1, len(change) - REACH):
        around = np.concatenate([change[place - REACH : place], change[place + 1 : place + 1 + REACH]])
        found[place] = change[place] / around.mean()
    return found


def seam(pictures: Sequence[tuple[Light, Light]], met: tuple[Sequence[int], Sequence[int]]) -> Seam:
    """met: the lines between rows and between columns, each held against the nearest of its kind elsewhere.

    pictures: with each the same one made without tiles, whose ratio at the same lines is divided by: what lies there
    by chance, an eave or a horizon, lies in both.
    """
    found = np.array([four for picture in pictures for axis in (0, 1) for four in _fours(picture, met[axis], axis)])
    here, there, plain_here, plain_there = means = found.mean(0)
    ratio = here / there / (plain_here / plain_there)
    apart = found / means @ np.array([1, -1, -1, 1])  # of each line, to first order
    return Seam(float(ratio), float(ratio * apart.std(ddof=1) / np.sqrt(len(apart))), len(apart))


def _fours(picture: tuple[Light, Light], met: Sequence[int], axis: int) -> Iterator[tuple[float, float, float, float]]:
    """A line's step and that elsewhere; both without tiles."""
    tiled, plain = (steps(one, axis) for one in picture)
    for place in met:
        others = elsewhere(place, met, len(tiled))
        if others:
            yield tiled[place], tiled[others].mean(), plain[place], plain[others].mean()
