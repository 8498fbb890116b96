"""Summed-area tables: a picture averaged over many rectangles at once, each as quickly as the smallest."""

from __future__ import annotations

import torch
from torch import Tensor

Bins = tuple[Tensor, Tensor]
"""Where bins begin and where they end, (N, count) whole pixels each: count bins of each of N windows."""


def summed(pixels: Tensor) -> Tensor:
    """(3, H, W) of whole numbers -> (3, H+1, W+1) float64: the exact sum of all that lies above and to the left."""
    table = torch.zeros(pixels.shape[0], pixels.shape[1] + 1, pixels.shape[2] + 1, dtype=torch.float64)
    table[:, 1:, 1:] = pixels
    return table.cumsum_(1).cumsum_(2)


def bins(start: Tensor, length: Tensor, count: int) -> Bins:
    """Windows from ``start`` (N,) of ``length`` (N,) pixels in ``count`` bins that cover them.

    Neighbours share a pixel where the length is no multiple: PyTorch's adaptive pooling and mode "area".
    """
    step = torch.arange(count)
    first, end = step * length[:, None] // count, -(-(step + 1) * length[:, None] // count)
    return start[:, None] + first, start[:, None] + end


def means(table: Tensor, rows: Bins, columns: Bins) -> Tensor:
    """(N, 3, h, w) float32: the mean over each bin; beyond the picture it is black."""
    height, width = table.shape[1] - 1, table.shape[2] - 1
    (top, bottom), (left, right) = rows, columns
    area = (bottom - top)[:, :, None] * (right - left)[:, None, :]
    top, bottom = (edge.clamp(0, height)[:, :, None] for edge in rows)
    left, right = (edge.clamp(0, width)[:, None, :] for edge in columns)
    total = table[:, bottom, right] - table[:, top, right] - table[:, bottom, left] + table[:, top, left]
    return (total / area).float().transpose(0, 1)
