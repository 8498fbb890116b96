"""Faces brought upright to where a restorer expects them, and back into their picture without a seam."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inkwash.core.boxes import Box

Points = NDArray[np.float64]

SIDE = 512
TEMPLATE: Points = np.array(
    [(192.98138, 239.94708), (318.90277, 240.1936), (256.63416, 314.01935), (201.26117, 371.41043),
     (313.08905, 371.15118)]
)  # fmt: skip
"""Where FFHQ's faces of 512 pixels have eyes, nose and corners of the mouth; restorers were trained on those."""

FEATHER = 51
"""Of 512 pixels: how far from its border a restored face is wholly there."""

BEYOND = (132, 133, 135)  # what restorers see where the picture has ended


@dataclass(frozen=True)
class Similarity:
    """z -> turn z + shift over points x + iy: turned, scaled and moved, never mirrored."""

    turn: complex
    shift: complex

    def __call__(self, points: Points) -> Points:
        """points: (..., 2), x and y."""
        moved = self.turn * (points[..., 0] + 1j * points[..., 1]) + self.shift
        return np.stack([moved.real, moved.imag], axis=-1)

    @property
    def inverse(self) -> Similarity:
        return Similarity(1 / self.turn, -self.shift / self.turn)

    def of_shifted(self, x: float, y: float) -> Similarity:
        """The same for points that are counted from (x, y)."""
        return Similarity(self.turn, self.shift + self.turn * complex(x, y))


def upright(landmarks: Points) -> Similarity:
    """What brings five landmarks closest to the template: the least sum of squared distances."""
    points, wanted = (each[:, 0] + 1j * each[:, 1] for each in (landmarks, TEMPLATE))
    centred = points - points.mean()
    turn = complex(np.vdot(centred, wanted - wanted.mean()) / np.vdot(centred, centred).real)
    return Similarity(turn, complex(wanted.mean() - turn * points.mean()))


def cut_out(picture: Image.Image, to_face: Similarity) -> Image.Image:
    """The face as 512 x 512 pixels, upright.  picture: RGB."""
    return _moved(picture, to_face.inverse, (SIDE, SIDE))


def covered(to_face: Similarity, size: tuple[int, int]) -> Box | None:
    """The part of a picture of ``size`` that the face's square lies in; None if it lies beside the picture."""
    corners = to_face.inverse(np.array([(0, 0), (SIDE, 0), (0, SIDE), (SIDE, SIDE)], np.float64))
    (x0, y0), (x1, y1) = np.floor(corners.min(0)), np.ceil(corners.max(0))
    x0, y0, x1, y1 = max(int(x0), 0), max(int(y0), 0), min(int(x1), size[0]), min(int(y1), size[1])
    return Box(y0, x0, y1 - y0, x1 - x0) if x1 > x0 and y1 > y0 else None


def paste_back(picture: Image.Image, face: Image.Image, to_face: Similarity, visibility: float) -> None:
    """Blend a face of 512 x 512 into the picture it was cut from, which is changed.

    Near the square's border it fades out; where it has faded, and beyond, the picture stays bit for bit.
    """
    box = covered(to_face, picture.size)
    if box is None:
        return
    place = (box.left, box.top, box.right, box.bottom)
    there = to_face.of_shifted(box.left, box.top)
    old = np.asarray(picture.crop(place), np.float32)
    new = np.asarray(_moved(face, there, (box.width, box.height)), np.float32)
    share = visibility * presence(there, (box.width, box.height))[..., None]
    picture.paste(Image.fromarray((old + share * (new - old)).round().astype(np.uint8)), place)


def presence(to_face: Similarity, size: tuple[int, int]) -> NDArray[np.float32]:
    """(height, width) in 0..1: how much of a restored face each pixel shows."""
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    face = to_face(np.stack([x, y], axis=-1))
    inside = np.minimum(face, SIDE - face).min(-1)
    ramp = np.clip(inside / FEATHER, 0, 1)
    smooth: NDArray[np.float32] = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    return smooth


def _moved(source: Image.Image, to_source: Similarity, size: tuple[int, int]) -> Image.Image:
    """``size`` pixels, each where ``to_source`` finds it.  What gets smaller is averaged, against aliasing."""
    times = max(math.ceil(abs(to_source.turn)), 1)
    turn, shift = to_source.turn / times, to_source.shift
    matrix = (turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag)
    finer = (size[0] * times, size[1] * times)
    return source.transform(finer, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=BEYOND).reduce(
        times
    )
