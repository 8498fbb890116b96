"""Faces found: as facenet-pytorch finds them, and where they are known to be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support import faces
from tests.support.facenet import facenet
from torch.nn import functional as F

from inkwash.imaging.faces import Face, FaceFinder, cut, distinct, scales, squared
from inkwash.imaging.sums import bins, means, summed


def at(face: Face, wanted: np.ndarray, within: float) -> bool:
    """Whether the landmarks lie there, within so much of the distance between the eyes."""
    eyes = np.linalg.norm(wanted[0] - wanted[1])
    return bool(np.abs(face.landmarks - wanted).max() <= within * eyes)


@pytest.mark.parametrize("name", ["portrait", "crowd", "small"])
def test_they_are_those_that_facenet_finds(find: FaceFinder, name: str) -> None:
    """Boxes and landmarks within a thousandth of a pixel, probabilities within 1e-6."""
    picture = {"portrait": faces.portrait(), "crowd": faces.crowd(), "small": faces.portrait(70)}[name]
    reference = facenet().MTCNN(keep_all=True, thresholds=list(find.thresholds))
    boxes, scores, landmarks = reference.detect(picture, landmarks=True)
    found = find(picture)
    assert len(found) == len(boxes) == {"crowd": 3}.get(name, 1)
    for face, box, score, points in zip(found, boxes, scores, landmarks, strict=True):
        assert np.abs(np.array(face.box) - (box - [1, 1, 0, 0])).max() < 1e-3  # it counts pixels from 1
        assert np.abs(face.landmarks - points).max() < 1e-3
        assert abs(face.score - score) < 1e-6


@pytest.mark.parametrize(("width", "height"), [(160, 120), (13, 11), (12, 300), (1, 1)])
def test_where_there_is_none_none_is_found(find: FaceFinder, width: int, height: int) -> None:
    assert find(faces.landscape(width, height)) == []


def test_a_small_and_a_large_picture_show_the_same_face(find: FaceFinder) -> None:
    for side in (48, 192, 600):
        (face,) = find(faces.portrait(side))
        assert at(face, faces.LANDMARKS * side / 192, 0.12)


@pytest.mark.parametrize("angle", [-30, -15, 15, 30])
def test_a_turned_face_has_its_landmarks_turned(find: FaceFinder, angle: int) -> None:
    (face,) = find(faces.portrait().rotate(angle, Image.Resampling.BICUBIC, fillcolor="gray"))
    turn = np.exp(-1j * np.radians(angle))
    points = (faces.LANDMARKS - 96) @ [1, 1j] * turn
    assert at(face, np.stack([points.real, points.imag], axis=-1) + 96, 0.15)


def test_a_face_cut_by_the_border_has_its_landmarks_where_they_are(find: FaceFinder) -> None:
    """Those outside the picture too: beyond it the networks see black, and no stretched picture."""
    (face,) = find(faces.portrait().crop((64, 40, 192, 192)))
    assert at(face, faces.LANDMARKS - (64, 40), 0.15)


def test_a_huge_picture_is_looked_at_in_a_smaller_one(find: FaceFinder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkwash.imaging.faces.LONGEST", 150)
    (face,) = find(faces.portrait(600))
    assert at(face, faces.LANDMARKS * 600 / 192, 0.12)


def test_the_pyramid_ends_where_the_window_is_as_large_as_the_picture() -> None:
    """From 12/20 down by 0.709, half the area; of large pictures never more than 768 pixels are looked at."""
    found = scales(640, 480)
    assert found[0] == 12 / 20
    assert all(abs(b / a - 0.709) < 1e-12 for a, b in pairwise(found))
    assert 480 * found[-1] >= 12 > 480 * found[-1] * 0.709
    assert scales(8192, 8192)[0] * 8192 == pytest.approx(768)
    assert scales(10, 10) == []


@pytest.mark.parametrize("size", [(12, 12), (37, 50), (5, 3), (80, 60)])
def test_means_over_areas_are_pytorchs(size: tuple[int, int]) -> None:
    """Of the whole picture in one window, and of a part of it, within float32 rounding of values up to 255."""
    pixels = torch.randint(0, 256, (3, 60, 50), generator=torch.Generator().manual_seed(2))
    rows, columns = (bins(torch.tensor([0, 7]), torch.tensor([side, 20]), count)
                     for side, count in zip((60, 50), size, strict=True))  # fmt: skip
    found = means(summed(pixels), rows, columns)
    for one, part in zip(found, (pixels, pixels[:, 7:27, 7:27]), strict=True):
        torch.testing.assert_close(one, F.interpolate(part[None].float(), size, mode="area")[0], rtol=0, atol=1e-4)


def test_of_boxes_that_overlap_the_best_is_kept() -> None:
    boxes = torch.tensor([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [2, 2, 6, 6.0]])
    scores = torch.tensor([0.8, 0.9, 0.7, 0.6])
    assert distinct(boxes, scores, 0.5).tolist() == [1, 2, 3]
    assert distinct(boxes, scores, 0.5, nested=True).tolist() == [1, 2]
    assert distinct(boxes, scores, 0.9).tolist() == [1, 0, 2, 3]
    assert distinct(boxes[:0], scores[:0], 0.5).tolist() == []


def test_what_lies_beyond_the_picture_is_black_and_what_lies_outside_is_left_out() -> None:
    table = summed(torch.full((3, 8, 8), 255))
    boxes = torch.tensor([[-3, 1, 4, 8], [20, 20, 30, 30], [1, 1, 8, 8.0]])
    kept, windows = cut(table, boxes, 8)
    assert kept.tolist() == boxes[[0, 2]].tolist()
    assert windows[1].unique().tolist() == [127.5 / 128]
    black, white = -127.5 / 128, 127.5 / 128
    assert windows[0, 0, 0].tolist() == [black] * 4 + [white] * 4
    assert squared(torch.tensor([[0.0, 0, 10, 20]])).tolist() == [[-5, 0, 15, 20]]
