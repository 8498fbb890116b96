"""A pasted part meets its surroundings in colour."""

from __future__ import annotations

import numpy as np
from PIL import Image

from inkwash.imaging.join import joined, membrane

SIDE = 64


def hole() -> np.ndarray:
    """True where the picture is redrawn."""
    inside = np.zeros((SIDE, SIDE), bool)
    inside[20:43, 11:50] = True
    return inside


def test_a_membrane_over_a_plane_is_the_plane() -> None:
    """Laplace's equation with linear values around it has the linear solution."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    plane = np.stack([0.3 * x - 0.1 * y, 0 * x + 7, 0.2 * y], axis=-1)
    inside = hole()
    found = membrane(np.where(inside[..., None], 99.0, plane).astype(np.float32), ~inside)
    assert np.abs(found - plane).max() < 0.35  # levels of 255
    assert np.array_equal(found[~inside], plane[~inside])


def test_a_shift_of_colour_inside_is_taken_back() -> None:
    rng = np.random.default_rng(0)
    original = rng.integers(60, 190, (SIDE, SIDE, 3)).astype(np.int16)
    shifted = original + np.array([5, -7, 9])
    result = np.asarray(joined(picture(shifted), picture(original), share())).astype(int)
    assert np.abs(result - original)[hole()].max() <= 1
    assert np.array_equal(result[~hole()], shifted[~hole()])


def test_what_is_another_content_is_not_spread_further_than_the_limit() -> None:
    black, white = np.zeros((SIDE, SIDE, 3), np.int16), np.full((SIDE, SIDE, 3), 255, np.int16)
    result = np.asarray(joined(picture(black), picture(white), share()))
    assert result[hole()].max() == 48


def test_without_an_edge_nothing_changes() -> None:
    drawn, original = picture(np.zeros((SIDE, SIDE, 3))), picture(np.full((SIDE, SIDE, 3), 9))
    for level in (0, 255):
        assert joined(drawn, original, Image.new("L", (SIDE, SIDE), level)) is drawn


def picture(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(levels.astype(np.uint8))


def share() -> Image.Image:
    return Image.fromarray((hole() * 255).astype(np.uint8))
