"""Faces brought upright and back: against scipy's Procrustes, and against points and pixels that are known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.linalg import orthogonal_procrustes
from scipy.ndimage import map_coordinates
from tests.support import faces

from inkwash.imaging.alignment import SIDE, TEMPLATE, Similarity, covered, cut_out, paste_back, presence, upright


def test_the_fit_is_scipys() -> None:
    """Umeyama's least squares: scale and rotation by the SVD of the centred points, within 1e-9."""
    points = faces.LANDMARKS + np.random.default_rng(3).normal(0, 2, (5, 2))
    centred, wanted = points - points.mean(0), TEMPLATE - TEMPLATE.mean(0)
    rotation, total = orthogonal_procrustes(centred, wanted)
    assert np.linalg.det(rotation) > 0
    expected = total / (centred**2).sum() * centred @ rotation + TEMPLATE.mean(0)
    assert np.abs(upright(points)(points) - expected).max() < 1e-9


def test_turned_and_moved_landmarks_come_to_the_template() -> None:
    moved = Similarity(0.3 * np.exp(0.7j), 40 - 25j)
    there = upright(moved(TEMPLATE))
    assert np.abs(there(moved(TEMPLATE)) - TEMPLATE).max() < 1e-9
    assert np.abs(there.inverse(there(faces.LANDMARKS)) - faces.LANDMARKS).max() < 1e-9
    assert np.abs(there.of_shifted(7, 9)(faces.LANDMARKS - (7, 9)) - there(faces.LANDMARKS)).max() < 1e-9


def test_the_cut_face_is_the_picture_seen_through_the_transform() -> None:
    """scipy's cubic splines give the same but for the kernel; half a pixel's shift would be far outside."""
    picture, to_face = faces.portrait(), upright(faces.LANDMARKS)
    cut = np.asarray(cut_out(picture, to_face), float)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    places = to_face.inverse(np.stack([x, y], -1)) - 0.5
    inside = (places > 3).all(-1) & (places < 188).all(-1)
    pixels = np.asarray(picture, float)
    expected = np.stack([map_coordinates(pixels[..., c], [places[..., 1], places[..., 0]]) for c in range(3)], -1)
    shifted = np.stack([map_coordinates(pixels[..., c], [places[..., 1], places[..., 0] + 0.5]) for c in range(3)], -1)
    error, off = (np.abs(cut - np.clip(one, 0, 255))[inside].mean() for one in (expected, shifted))
    assert error < 1.0
    assert off > 2.5 * error


def test_a_face_that_was_only_cut_out_goes_back_where_it_was() -> None:
    """Enlarged to 512 and made small again, it is a little softer; half a pixel's shift changes thrice as much."""
    picture, to_face = faces.portrait(), upright(faces.LANDMARKS)
    back = picture.copy()
    paste_back(back, cut_out(picture, to_face), to_face, 1.0)
    moved = picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, 0.5, 0, 1, 0), Image.Resampling.BICUBIC)
    inner = (slice(70, 130), slice(60, 130))
    error, off = (np.abs(np.asarray(one, int) - np.asarray(picture, int))[inner].mean() for one in (back, moved))
    assert error < 1.5
    assert error < off / 3


@pytest.mark.parametrize("shift", [(0, 0), (-90, -60), (100, 0), (60, 110)])
@pytest.mark.parametrize("scale", [0.25, 1.0, 6.0])
def test_pixels_away_from_the_face_stay_bit_for_bit(shift: tuple[int, int], scale: float) -> None:
    """At the picture's border and across it, for faces smaller and larger than the restorer's."""
    picture = faces.landscape(200, 180)
    to_face = upright((faces.LANDMARKS + shift) * scale)
    restored = picture.copy()
    paste_back(restored, Image.new("RGB", (SIDE, SIDE), "red"), to_face, 1.0)
    y, x = np.mgrid[:180, :200] + 0.5
    place = to_face(np.stack([x, y], -1))
    outside = ((place <= 0) | (place >= SIDE)).any(-1)
    deep = ((place > 60) & (place < SIDE - 60)).all(-1)
    assert np.array_equal(np.asarray(restored)[outside], np.asarray(picture)[outside])
    assert (np.asarray(restored)[deep] == (255, 0, 0)).all()
    box = covered(to_face, picture.size)
    assert (box is None) == bool(outside.all())


def test_the_border_fades_and_visibility_blends() -> None:
    to_face = Similarity(1, 0)
    share = presence(to_face, (SIDE, SIDE))
    assert share[0].max() < 1e-3
    assert share[SIDE // 2, SIDE // 2] == 1
    assert (np.diff(share[SIDE // 2, : SIDE // 2]) >= 0).all()
    assert np.abs(np.diff(share[SIDE // 2])).max() < 0.04  # no step that an eye would see
    black = Image.new("RGB", (SIDE, SIDE))
    paste_back(black, Image.new("RGB", (SIDE, SIDE), (200, 200, 200)), to_face, 0.25)
    assert black.getpixel((256, 256)) == (50, 50, 50)


def test_a_face_beside_the_picture_changes_nothing() -> None:
    picture = faces.landscape()
    to_face = upright(faces.LANDMARKS + 5000)
    assert covered(to_face, picture.size) is None
    same = picture.copy()
    paste_back(same, Image.new("RGB", (SIDE, SIDE)), to_face, 1.0)
    assert same.tobytes() == picture.tobytes()
