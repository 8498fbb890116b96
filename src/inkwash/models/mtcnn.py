"""MTCNN, arXiv:1604.02878: three small networks that find faces, each looking closer at what the one before proposed.

Names of weights are those of the PyTorch files people have (pnet.pt, rnet.pt, onet.pt of facenet-pytorch).  Colours are
(value - 127.5) / 128.  Boxes come as corrections of the window that was looked at, in fractions of its sides: left,
top, right, bottom.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW, STRIDE = 12, 2
"""Pixels of a window of the first network, and from one to the next."""

REFINED, OUTPUT = 24, 48
"""Pixels a side that the second and the third network take."""


class ProposalNetwork(nn.Module):
    """Whether there is a face in each window of a picture of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1 = nn.Conv2d(32, 2, 1)
        self.conv4_2 = nn.Conv2d(32, 4, 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """pixels: (B, 3, H, W).  Returns probabilities (B, h, w) and corrections (B, 4, h, w)."""
        x = _pooled(self.prelu1(self.conv1(pixels)), 2)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(1)[:, 1], self.conv4_2(x)


class RefineNetwork(nn.Module):
    """Whether a window of 24 x 24 pixels shows a face, and where exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(64 * 3 * 3, 128), nn.PReLU(128)
        self.dense5_1 = nn.Linear(128, 2)
        self.dense5_2 = nn.Linear(128, 4)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """pixels: (B, 3, 24, 24).  Returns probabilities (B,) and corrections (B, 4)."""
        x = _pooled(self.prelu1(self.conv1(pixels)), 3)
        x = _pooled(self.prelu2(self.conv2(x)), 3)
        x = self.prelu4(self.dense4(_flattened(self.prelu3(self.conv3(x)))))
        return self.dense5_1(x).softmax(1)[:, 1], self.dense5_2(x)


class OutputNetwork(nn.Module):
    """Likewise of 48 x 48 pixels, with five landmarks: eyes, nose, corners of the mouth, left ones first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(128 * 3 * 3, 256), nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """pixels: (B, 3, 48, 48).  Returns probabilities (B,), corrections (B, 4), landmarks (B, 5, 2).

        Landmarks are (x, y) in fractions of the window's sides.
        """
        x = _pooled(self.prelu1(self.conv1(pixels)), 3)
        x = _pooled(self.prelu2(self.conv2(x)), 3)
        x = _pooled(self.prelu3(self.conv3(x)), 2)
        x = self.prelu5(self.dense5(_flattened(self.prelu4(self.conv4(x)))))
        landmarks = self.dense6_3(x).reshape(-1, 2, 5).transpose(1, 2)  # the file has all x, then all y
        return self.dense6_1(x).softmax(1)[:, 1], self.dense6_2(x), landmarks


class MTCNN(nn.Module):
    """The three together, as they are trained and used."""

    def __init__(self) -> None:
        super().__init__()
        self.pnet = ProposalNetwork()
        self.rnet = RefineNetwork()
        self.onet = OutputNetwork()


def normalized(pixels: Tensor) -> Tensor:
    """0..255 as the networks take it."""
    return (pixels - 127.5) / 128


def _pooled(x: Tensor, window: int) -> Tensor:
    """Every second maximum; what stands over at the edge counts too."""
    return F.max_pool2d(x, window, 2, ceil_mode=True)


def _flattened(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, W H C): the weights were trained on pictures stored column by column."""
    return torch.flatten(x.permute(0, 3, 2, 1), 1)
