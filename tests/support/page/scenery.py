"""Hills in mist, the same for the same seed: pictures that look like something and cost milliseconds."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

PAPER = np.array([244, 240, 230], np.float32)
INKS = np.array([[122, 132, 140], [84, 96, 106], [44, 54, 64], [24, 30, 38]], np.float32)
SUN = np.array([176, 58, 38], np.float32)


def landscape(seed: int, width: int, height: int, contrast: float = 1.0) -> Image.Image:
    """An ink landscape.  contrast: how strong the ink is, as guidance would make it."""
    rng = np.random.default_rng(seed % 2**32)
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    picture = PAPER - 10 * y[..., None] + rng.normal(0, 1.6, (height, width, 1)).astype(np.float32)
    tint = np.array([rng.uniform(-10, 14), 0, rng.uniform(-14, 10)], np.float32)
    centre, size = rng.uniform(0.2, 0.8), rng.uniform(0.05, 0.09)
    distance = np.hypot((x - centre) * width / height, y - rng.uniform(0.16, 0.3))
    picture = _blend(picture, SUN, np.clip((size - distance) * height / 3, 0, 1) * 0.85)
    for layer, ink in enumerate(INKS):
        base = 0.42 + 0.15 * layer
        ridge = base + sum(
            rng.uniform(0.3, 1)
            * 0.13
            / octave
            * np.sin(2 * np.pi * (octave * x * rng.uniform(0.7, 1.6) + rng.uniform()))
            for octave in (1, 2, 3, 5, 9)
        )
        depth = y - ridge
        amount = np.clip(depth * height / 2.5, 0, 1) * np.exp(-np.clip(depth, 0, 1) * 5.5) * (0.55 + 0.12 * layer)
        picture = _blend(picture, ink + tint, np.clip(amount * contrast, 0, 1))
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def noised(clean: Image.Image, seed: int, amount: float) -> Image.Image:
    """The picture with noise over it.  amount: 0 none .. 1 nothing else."""
    pixels = np.asarray(clean.convert("RGB"), np.float32)
    noise = np.random.default_rng(seed % 2**32).normal(128, 62, pixels.shape).astype(np.float32)
    return Image.fromarray(np.clip(pixels * (1 - amount) + noise * amount, 0, 255).astype(np.uint8))


def heat(seed: int, side: int = 64) -> Image.Image:
    """A soft grey map with one or two bright places."""
    rng = np.random.default_rng(seed % 2**32)
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    spots = sum(np.exp(-((x - rng.uniform(0.2, 0.8)) ** 2 + (y - rng.uniform(0.2, 0.8)) ** 2) / 0.02) for _ in range(2))
    return Image.fromarray((np.clip(spots / np.max(spots), 0, 1) * 255).astype(np.uint8))


def heats(seed: int, count: int) -> Image.Image:
    """Maps of several steps, one below the other."""
    sheet = Image.new("L", (64, 64 * count))
    for index in range(count):
        sheet.paste(heat(seed * 100 + index), (0, 64 * index))
    return sheet


def webp(picture: Image.Image, side: int, quality: int) -> bytes:
    """At most ``side`` pixels wide; a sheet may be longer."""
    small = picture.copy()
    small.thumbnail((side, side * 64))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=quality)
    return buffer.getvalue()


def _blend(under: np.ndarray, over: np.ndarray, amount: np.ndarray) -> np.ndarray:
    blended: np.ndarray = under + (over - under) * amount[..., None]
    return blended
