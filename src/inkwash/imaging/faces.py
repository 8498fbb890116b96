"""Faces in a picture, by MTCNN (arXiv:1604.02878): a pyramid of sizes, three networks, five landmarks a face."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from inkwash.core.resizing import resize
from inkwash.imaging.sums import bins, means, summed
from inkwash.models.mtcnn import MTCNN, OUTPUT, REFINED, STRIDE, WINDOW, normalized
from inkwash.models.mtcnn_files import load_mtcnn

Points = NDArray[np.float64]

THRESHOLDS = (0.6, 0.7, 0.9)
"""From which probability on each network lets a window pass.  The last is usually 0.7, for crowds; here a window that
shows no face would get one painted in."""

SMALLEST, SHARE = 20, 64
"""Faces are found from so many pixels on, or from so many parts of the longer side on if that is more."""

LONGEST = 3072
"""Pixels of the longer side that are looked at: SHARE keeps faces large enough in a picture made smaller."""

FACTOR = 0.709  # from one size of the pyramid to the next: half the area
TOGETHER = 512  # windows of one call


@dataclass(frozen=True, eq=False)
class Face:
    """box: left, top, right, bottom.  landmarks: (5, 2), x and y of eyes, nose, corners of the mouth.

    In pixels of the picture, the first one's corner is 0 and its middle 0.5.
    """

    box: tuple[float, float, float, float]
    score: float  # 0..1
    landmarks: Points


@dataclass(frozen=True, eq=False)
class FaceFinder:
    """Always the same faces in the same picture."""

    network: MTCNN
    thresholds: tuple[float, float, float] = THRESHOLDS

    @torch.inference_mode()
    def __call__(self, picture: Image.Image) -> list[Face]:
        """picture: RGB.  The largest face first."""
        shrink = min(LONGEST / max(picture.size), 1.0)
        small = (max(round(picture.width * shrink), 1), max(round(picture.height * shrink), 1))
        seen = picture if shrink == 1 else resize(picture, small)
        table = summed(torch.from_numpy(np.array(seen.convert("RGB"))).permute(2, 0, 1))
        boxes = self._refined(table, self._proposals(table))
        boxes, scores, landmarks = self._output(table, boxes)
        back = torch.tensor([picture.width / small[0], picture.height / small[1]])
        found = [
            Face(_corners(box, back), float(score), (marks * back).double().numpy())
            for box, score, marks in zip(boxes, scores, landmarks, strict=True)
        ]
        return sorted(found, key=lambda face: (face.box[0] - face.box[2]) * (face.box[3] - face.box[1]))

    def _proposals(self, table: Tensor) -> Tensor:
        """Windows of all sizes that may hold a face, (N, 4).  table: the picture's sums."""
        found = [self._at(table, scale) for scale in scales(table.shape[2] - 1, table.shape[1] - 1)]
        boxes, scores, corrections = (torch.cat(parts) for parts in zip(*found, strict=True)) if found else _nothing(4)
        chosen = distinct(boxes, scores, 0.7)
        boxes, corrections = boxes[chosen], corrections[chosen]
        return squared(boxes + corrections * _sides(boxes, 0))

    def _at(self, table: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        """Windows of one size: boxes (N, 4), probabilities (N,), corrections (N, 4)."""
        rows, columns = (
            bins(torch.tensor([0]), torch.tensor([side]), int(side * scale + 1))
            for side in (table.shape[1] - 1, table.shape[2] - 1)
        )
        small = means(table, rows, columns)
        probability, corrections = (answer[0] for answer in self.network.pnet(normalized(small)))
        y, x = (probability >= self.thresholds[0]).nonzero(as_tuple=True)
        corner = torch.stack([x, y], dim=1) * STRIDE
        boxes = torch.cat([(corner + 1) / scale, (corner + WINDOW) / scale], dim=1).floor()
        scores, corrections = probability[y, x], corrections[:, y, x].T
        chosen = distinct(boxes, scores, 0.5)
        return boxes[chosen], scores[chosen], corrections[chosen]

    def _refined(self, table: Tensor, boxes: Tensor) -> Tensor:
        boxes, (scores, corrections) = _looked_at(self.network.rnet, table, boxes, REFINED)
        sure = scores > self.thresholds[1]
        boxes, scores, corrections = boxes[sure], scores[sure], corrections[sure]
        chosen = distinct(boxes, scores, 0.7)
        return squared(boxes[chosen] + corrections[chosen] * _sides(boxes[chosen], 1))

    def _output(self, table: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (N, 4), probabilities (N,) and landmarks (N, 5, 2)."""
        boxes, (scores, corrections, marks) = _looked_at(self.network.onet, table, boxes, OUTPUT)
        sure = scores > self.thresholds[2]
        boxes, scores, corrections, marks = boxes[sure], scores[sure], corrections[sure], marks[sure]
        landmarks = marks * _sides(boxes, 1)[:, None, :2] + boxes[:, None, :2] - 1
        boxes = boxes + corrections * _sides(boxes, 1)
        chosen = distinct(boxes, scores, 0.7, nested=True)
        return boxes[chosen], scores[chosen], landmarks[chosen]


def _looked_at(network: Callable[[Tensor], Any], table: Tensor, boxes: Tensor, side: int) -> tuple[Tensor, Any]:
    """The boxes that show something, and what the network says of each, some at a time."""
    kept, answers = [], []
    for first in range(0, max(len(boxes), 1), TOGETHER):
        shown, windows = cut(table, boxes[first : first + TOGETHER], side)
        kept.append(shown)
        answers.append(network(windows))
    return torch.cat(kept), tuple(torch.cat(each) for each in zip(*answers, strict=True))


def finder() -> FaceFinder:
    """Raises MissingLibrary, DamagedFile."""
    return FaceFinder(load_mtcnn())


def scales(width: int, height: int) -> Sequence[float]:
    """How much the picture is made smaller for the first network, whose window is the face that is looked for."""
    scale = WINDOW / max(SMALLEST, max(width, height) / SHARE)
    count = math.floor(math.log(WINDOW / (min(width, height) * scale), FACTOR)) + 1
    return [scale * FACTOR**step for step in range(count)]


def distinct(boxes: Tensor, scores: Tensor, most: float, *, nested: bool = False) -> Tensor:
    """Indexes of boxes that overlap no better one by more than ``most``, the best first.

    The overlap is the share of the area that both cover together; nested: of the smaller one's area.
    """
    extra = 1 if nested else 0  # boxes count their last pixel in the last step alone, as the weights' own code has it
    areas = _sides(boxes, extra)[:, :2].prod(1)
    waiting, chosen = scores.argsort(descending=True, stable=True), []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        chosen.append(best)
        low = torch.maximum(boxes[best, :2], boxes[waiting, :2])
        high = torch.minimum(boxes[best, 2:], boxes[waiting, 2:])
        both = (high - low + extra).clamp(min=0).prod(1)
        whole = torch.minimum(areas[best], areas[waiting]) if nested else areas[best] + areas[waiting] - both
        waiting = waiting[both <= most * whole]
    return torch.stack(chosen) if chosen else scores.new_empty(0, dtype=torch.long)


def squared(boxes: Tensor) -> Tensor:
    """Each as a square of its longer side around its middle."""
    sides = boxes[:, 2:] - boxes[:, :2]
    half = sides.max(1, keepdim=True).values / 2
    corner = boxes[:, :2] + sides / 2 - half
    return torch.cat([corner, corner + 2 * half], dim=1)


def cut(table: Tensor, boxes: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Boxes that show something of the picture, (N, 4), and what they show, (N, 3, side, side), normalized.

    table: the picture's sums.  Boxes count pixels from 1 and include the last.  Beyond the picture it is black.
    """
    corners, size = boxes.trunc().long(), torch.tensor([table.shape[2] - 1, table.shape[1] - 1])
    low, high = corners[:, :2] - 1, corners[:, 2:]
    shown = (torch.minimum(high, size) > low.clamp(min=0)).all(1)
    (x, y), (width, height) = low[shown].T, (high - low)[shown].T
    return boxes[shown], normalized(means(table, bins(y, height, side), bins(x, width, side)))


def _sides(boxes: Tensor, extra: int) -> Tensor:
    """(N, 4): width, height, width, height; extra: 1 where the last pixel counts."""
    return (boxes[:, 2:] - boxes[:, :2] + extra).repeat(1, 2)


def _corners(box: Tensor, back: Tensor) -> tuple[float, float, float, float]:
    """From pixels counted from 1 to the outer corners of the first and the last."""
    left, top, right, bottom = (torch.cat([box[:2] - 1, box[2:]]).view(2, 2) * back).flatten().tolist()
    return left, top, right, bottom


def _nothing(width: int) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty(0, width), torch.empty(0), torch.empty(0, width)
