"""A convolutional network run by bands of rows, its group norms over the whole picture: exact, in little memory.

A norm needs all of a layer before any of the next can be computed, so layers run one after another, each over all
bands.  A band has the picture's full width, and the rows above and below it that its convolution looks at.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkwash.models.blocks import ResnetBlock, Wrapped, image_of, tokens_of
from inkwash.models.vae import AttentionBlock, Downsample
from inkwash.runtime.packing import PackedConv2d
from inkwash.runtime.room import Doubled, FeatureMap, Room

SCORES = 2**27
"""Attention scores asked for at a time, for kernels that hold them all."""

Change = Callable[[Tensor], Tensor]


@dataclass
class Moments:
    """Mean and variance of every channel over the bands added so far, merged as in Chan, Golub and LeVeque (1979)."""

    count: int = 0
    mean: Tensor | None = None  # (C,) float64, float32 where the device has no float64
    squares: Tensor | None = None  # (C,) summed squares of the distance from the mean

    def add(self, rows: Tensor) -> None:
        """rows: (B, C, H, W)."""
        pixels = rows.permute(0, 2, 3, 1).reshape(-1, rows.shape[1]).float()
        wide = torch.float32 if rows.device.type == "mps" else torch.float64
        mean = pixels.mean(0)
        squares = (pixels - mean).square_().sum(0).to(wide)
        mean = mean.to(wide)
        if self.mean is None or self.squares is None:
            self.count, self.mean, self.squares = len(pixels), mean, squares
            return
        total = self.count + len(pixels)
        delta = mean - self.mean
        self.squares = self.squares + squares + delta.square() * (self.count * len(pixels) / total)
        self.mean = self.mean + delta * (len(pixels) / total)
        self.count = total

    def norm(self, layer: nn.GroupNorm) -> FixedNorm:
        """The layer with these statistics, pooled over the channels of each group."""
        assert self.mean is not None, "nothing was added"
        assert self.squares is not None
        means, squares = self.mean.view(layer.num_groups, -1), self.squares.view(layer.num_groups, -1)
        mean = means.mean(1, keepdim=True)
        variance = (squares / self.count + (means - mean).square()).mean(1, keepdim=True)
        return FixedNorm(layer, mean.expand_as(means).flatten(), variance.expand_as(means).flatten())


class FixedNorm(nn.Module):
    """A group norm whose statistics are given: mean and variance of every channel's group, (C,)."""

    def __init__(self, layer: nn.GroupNorm, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        self.mean, self.variance = mean.float(), variance.float()
        self.weight, self.bias = layer.weight.float(), layer.bias.float()
        self.eps = layer.eps

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, training=False, eps=self.eps)

    def then_silu(self, x: Tensor) -> Tensor:
        return F.silu(self(x), inplace=True)


@dataclass(frozen=True)
class Layer:
    """A map and the moments of its values."""

    map: FeatureMap
    moments: Moments = field(default_factory=Moments)


class Banded:
    """Runs the pieces of an autoencoder over maps.  What a piece reads is closed once it has been read.

    side: a band has about as many pixels as a square of that many picture pixels a side.  width: of the picture.
    norms: each that was met, with the statistics it had here.  counted: of a mosaic, which of its rows and columns have
    surroundings of their own and count for statistics, bool (H / n,) and (W / n,).
    """

    def __init__(self, room: Room, side: int, width: int, counted: tuple[Tensor, Tensor] | None = None) -> None:
        self.room = room
        self.side = side
        self.width = width
        self.counted = counted
        self.norms: dict[nn.Module, FixedNorm] = {}

    def norm(self, x: Layer, layer: nn.GroupNorm) -> FixedNorm:
        self.norms[layer] = x.moments.norm(layer)
        return self.norms[layer]

    def convolution(
        self,
        source: FeatureMap,
        conv: nn.Module,
        before: Change | None = None,
        add: Callable[[int, int], Tensor] | None = None,
        into: FeatureMap | None = None,
    ) -> Layer:
        """A convolution of stride 1, padded or of one pixel.

        before: done to the rows it reads.  add: what is added to rows first..last-1.  into: None, or ``source``.
        """
        bare, reach = _without_rows(conv)
        channels = _outputs(conv)
        wraps = isinstance(conv, Wrapped)
        into = None if wraps else into
        out = Layer(into or self.room.new(channels, source.height, source.width))
        waiting: tuple[int, Tensor] | None = None  # a band late, so that a map may be written over itself
        for first, last in self._bands(source.height, source.width):
            y = bare(_window(source, first - reach, last + reach, before, wraps))
            if add is not None:
                y += add(first, last)
            if waiting is not None:
                out.map.write(*waiting)
            self._count(out, first, y)
            waiting = first, y
        if waiting is not None:
            out.map.write(*waiting)
        if out.map is not source:
            source.close()
        return out

    def residual(self, x: Layer, block: ResnetBlock) -> Layer:
        hidden = self._kept(x, block)
        shortcut = block.conv_shortcut

        def skipped(first: int, last: int) -> Tensor:
            rows = x.map.read(first, last)
            return rows if shortcut is None else cast(Tensor, shortcut(rows))

        second = self.norm(hidden, block.norm2).then_silu
        out = self.convolution(hidden.map, block.conv2, second, skipped, into=hidden.map)
        x.map.close()
        return out

    def _kept(self, x: Layer, block: ResnetBlock) -> Layer:
        """The block's first half; its input is needed once more."""
        return self.convolution(_Kept(x.map), block.conv1, self.norm(x, block.norm1).then_silu)

    def up(self, x: Layer, conv: nn.Module) -> Layer:
        """Nearest-neighbour doubling, then the convolution."""
        return self.convolution(Doubled(x.map), conv)

    def down(self, x: Layer, layer: Downsample) -> Layer:
        """The convolution of stride 2, padded at the right and bottom."""
        height, width = x.map.height // 2, x.map.width // 2
        out = Layer(self.room.new(x.map.channels, height, width))
        for first, last in self._bands(height, width):
            rows = x.map.read(2 * first, min(2 * last + 1, x.map.height))
            y = layer.conv(F.pad(rows, (0, 1, 0, 2 * (last - first) + 1 - rows.shape[2])))
            out.map.write(first, y)
            self._count(out, first, y)
        x.map.close()
        return out

    def attention(self, x: Layer, block: AttentionBlock, step: int = 1) -> Layer:
        """Every pixel looks at every pixel; or at every ``step``-th of both directions.  In place."""
        norm = self.norm(x, block.group_norm)
        keys, values = self._keys(x, block, norm, step)
        queries = max(1, SCORES // keys.shape[2])
        out = Layer(x.map)
        for first, last in self._bands(x.map.height, x.map.width):
            rows = x.map.read(first, last)
            asked = tokens_of(norm(rows))
            seen = [
                block.attend(block.to_q(part)[:, None], keys, values)[:, 0]
                for part in torch.split(asked, queries, dim=1)
            ]
            y = rows + image_of(block.to_out[0](torch.cat(seen, dim=1)), rows.shape[2], rows.shape[3])
            self._count(out, first, y)
            x.map.write(first, y)
        return out

    def _keys(self, x: Layer, block: AttentionBlock, norm: FixedNorm, step: int) -> tuple[Tensor, Tensor]:
        """(1, 1, N, C) each."""
        keys, values = [], []
        for first, last in self._bands(x.map.height, x.map.width):
            start = -first % step
            tokens = tokens_of(norm(x.map.read(first, last)[:, :, start::step, ::step]))
            keys.append(block.to_k(tokens))
            values.append(block.to_v(tokens))
        return torch.cat(keys, dim=1)[:, None], torch.cat(values, dim=1)[:, None]

    def _count(self, layer: Layer, first: int, rows: Tensor) -> None:
        if self.counted is not None:
            down, across = (
                part.repeat_interleave(extent // len(part))
                for part, extent in zip(self.counted, (layer.map.height, layer.map.width), strict=True)
            )
            rows = rows[:, :, down[first : first + rows.shape[2]]][:, :, :, across]
        if rows.numel():
            layer.moments.add(rows)

    def _bands(self, height: int, width: int) -> Iterator[tuple[int, int]]:
        side = self.side * width / self.width
        rows = max(1, int(side * side / width))
        for first in range(0, height, rows):
            yield first, min(first + rows, height)


class _Kept:
    """A map that is not closed by who reads it."""

    def __init__(self, inner: FeatureMap) -> None:
        self.channels, self.height, self.width = inner.channels, inner.height, inner.width
        self.read, self.write = inner.read, inner.write

    def close(self) -> None:
        pass


def _window(source: FeatureMap, first: int, last: int, before: Change | None, wraps: bool) -> Tensor:
    """Rows of a map that may lie beyond its edges: zeros there, or the opposite edge's.  before: not done to zeros."""
    above, below = max(-first, 0), max(last - source.height, 0)
    rows = source.read(first + above, last - below)
    if wraps and (above or below):
        parts = [source.read(source.height - above, source.height)] if above else []
        parts += [rows]
        parts += [source.read(0, below)] if below else []
        rows = torch.cat(parts, dim=2)
        above = below = 0
    rows = rows if before is None else before(rows)
    return F.pad(rows, (0, 0, above, below)) if above or below else rows


def _without_rows(conv: nn.Module) -> tuple[nn.Module, int]:
    """The same convolution with no padding above and below, and how many rows it looks at there."""
    twin = copy.copy(conv)
    if isinstance(twin, Wrapped):
        wide, _, high, _ = twin.margin
        twin.margin = (wide, wide, 0, 0)
        return twin, high
    assert isinstance(twin, nn.Conv2d | PackedConv2d)
    high, wide = int(twin.padding[0]), int(twin.padding[1])
    twin.padding = (0, wide)
    return twin, high


def _outputs(conv: nn.Module) -> int:
    inner = conv.conv if isinstance(conv, Wrapped) else conv
    assert isinstance(inner, nn.Conv2d | PackedConv2d)
    return int(inner.out_channels)
