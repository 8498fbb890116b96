"""The fine levels of the autoencoder in square tiles, each run at once, for pictures above 2048x2048.

Layers of the full resolution are too large to be kept between norms.  So their norms get the statistics that a mosaic
of samples has, taken evenly over the picture; with these given, a tile needs nothing but its surroundings, as far as
convolutions reach.  The coarse levels, at the latents' resolution, stay in bands and exact, but for their attention.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkwash.models.banded import Banded, FixedNorm, Layer
from inkwash.models.blocks import Wrapped
from inkwash.models.vae import Decoder, Encoder, Level
from inkwash.models.walk import change, finished, levels, residuals
from inkwash.runtime.room import FeatureMap, Held

SAMPLE = 16
"""Latent pixels a side of a sample, besides its surroundings."""

SAMPLES = 6
"""Samples a side of the mosaic, which with all surroundings is as large as a picture of 1536x1536."""

Walk = Callable[[Banded, Layer], object]


def fine_picture(run: Banded, x: Layer, decoder: Decoder) -> Tensor:
    """What the decoder makes of its middle's answer: (1, 3, H, W) float32 on the CPU."""
    first, *rest = (cast(Level, block) for block in decoder.up_blocks)
    coarse, reach = residuals(run, x, first).map, _reach(len(rest), len(first.resnets))

    def walk(run: Banded, x: Layer) -> Tensor:
        return finished(run, levels(run, change(run, x, first), rest), decoder)

    tail = _fixed(_Tail(first, decoder), _sampled(run, coarse, 2 ** len(rest), 1, reach, walk))
    tiles = _Tiles(tail, coarse, reach, into=2 ** len(rest))
    picture = torch.empty(1, 3, coarse.height * tiles.into, coarse.width * tiles.into)
    for top, strip in tiles.strips(run.side // tiles.into):
        picture[:, :, top : top + strip.shape[2]] = strip.cpu()
    coarse.close()
    return picture


def coarse_map(run: Banded, picture: Tensor, encoder: Encoder) -> Layer:
    """What the encoder's fine levels make of a picture (1, 3, H, W): the input of its coarsest."""
    fine, source = [cast(Level, block) for block in encoder.down_blocks][:-1], Held.of(picture)

    def walk(run: Banded, x: Layer) -> Layer:
        return levels(run, run.convolution(x.map, encoder.conv_in), fine)

    factor, reach = 2 ** len(fine), _reach(len(fine), len(fine[0].resnets))
    head = _fixed(nn.Sequential(encoder.conv_in, *fine), _sampled(run, source, 1, factor, reach, walk))
    tiles = _Tiles(head, source, reach, from_=factor)
    out: Layer | None = None
    for top, strip in tiles.strips(max(1, run.side // factor)):
        out = out or Layer(run.room.new(strip.shape[1], source.height // factor, source.width // factor))
        out.map.write(top, strip)
        out.moments.add(strip)
    assert out is not None
    return out


class _Tail(nn.Module):
    """From the residual blocks of the coarsest level to the picture."""

    def __init__(self, first: Level, decoder: Decoder) -> None:
        super().__init__()
        self.up = getattr(first, first.resample)[0]
        self.levels = nn.Sequential(*decoder.up_blocks[1:])
        self.conv_norm_out, self.conv_out = decoder.conv_norm_out, decoder.conv_out

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv_out(F.silu(self.conv_norm_out(self.levels(self.up(x))))))


class _Tiles:
    """A network without statistics of its own, run on squares of a map and their surroundings.

    Sizes are in latent pixels.  reach: of its surroundings.  from_, into: the map's pixels to one, and the answer's.
    """

    def __init__(
        self, network: nn.Module, source: FeatureMap, reach: int, *, from_: int = 1, into: int = 1
    ) -> None:  # fmt: skip
        self.network = network
        self.source = source
        self.from_, self.into = from_, into
        self.reach = reach
        self.wraps = any(isinstance(layer, Wrapped) for layer in network.modules())

    def strips(self, side: int) -> Iterator[tuple[int, Tensor]]:
        """The answer from top to bottom: first row, rows (1, C, rows, W)."""
        height, width = self.source.height // self.from_, self.source.width // self.from_
        for top, bottom in _spans(height, side):
            first, last = self._around(top, bottom, height)
            rows = _rows(self.source, first * self.from_, last * self.from_)
            parts = []
            for left, right in _spans(width, side):
                start, stop = self._around(left, right, width)
                y = self.network(_columns(rows, start * self.from_, stop * self.from_))
                part = y[:, :, (top - first) * self.into :, (left - start) * self.into :]
                parts.append(part[:, :, : (bottom - top) * self.into, : (right - left) * self.into])
            yield top * self.into, torch.cat(parts, dim=3)

    def _around(self, first: int, last: int, end: int) -> tuple[int, int]:
        """With surroundings; they end where the picture does, or go on at the opposite edge."""
        first, last = first - self.reach, last + self.reach
        return (first, last) if self.wraps else (max(first, 0), min(last, end))


def _rows(source: FeatureMap, first: int, last: int) -> Tensor:
    """Rows of a map, beyond its edges those of the opposite edge."""
    parts = [source.read(max(first, 0), min(last, source.height))]
    if first < 0:
        parts.insert(0, source.read(source.height + first, source.height))
    if last > source.height:
        parts.append(source.read(0, last - source.height))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _columns(rows: Tensor, first: int, last: int) -> Tensor:
    width = rows.shape[3]
    if first < 0 or last > width:
        return rows.index_select(3, torch.arange(first, last, device=rows.device) % width)
    return rows[:, :, :, first:last].contiguous(memory_format=torch.channels_last)


def _sampled(
    run: Banded, source: FeatureMap, factor: int, unit: int, reach: int, walk: Walk
) -> Mapping[nn.Module, FixedNorm]:
    """The norms of a walk over a mosaic of the source.

    factor: picture pixels to one of the source's.  unit: the source's pixels to a latent one.
    """
    (down, rows), (across, columns) = (_even(extent // unit, reach) for extent in (source.height, source.width))
    mosaic, top = run.room.new(source.channels, len(rows) * unit, len(columns) * unit), 0
    for first, last in down:
        read = source.read(first * unit, last * unit)
        parts = [read[:, :, :, left * unit : right * unit] for left, right in across]
        mosaic.write(top, torch.cat(parts, dim=3))
        top += read.shape[2]
    own = Banded(run.room, run.side, mosaic.width * factor, (rows.to(run.room.device), columns.to(run.room.device)))
    walk(own, Layer(mosaic))
    return own.norms


def _even(extent: int, reach: int) -> tuple[list[tuple[int, int]], Tensor]:
    """Samples of one direction with their surroundings, evenly from edge to edge, and which of their pixels count.

    All of it where it is small.
    """
    whole = SAMPLE + 2 * reach
    if extent <= whole * SAMPLES:
        return [(0, extent)], torch.ones(extent, dtype=torch.bool)
    starts = [round(index * (extent - whole) / (SAMPLES - 1)) for index in range(SAMPLES)]
    places = torch.arange(whole)
    counts = (places >= reach) & (places < reach + SAMPLE)
    return [(start, start + whole) for start in starts], counts.repeat(SAMPLES)


def _reach(count: int, blocks: int) -> int:
    """How many latent pixels the convolutions of so many levels look to a side; blocks: residual ones a level."""
    return math.ceil(sum((2 * blocks + 2) / 2**level for level in range(1, count + 1)) + 1 / 2**count)


def _spans(extent: int, side: int) -> Iterator[tuple[int, int]]:
    for first in range(0, extent, side):
        yield first, min(first + side, extent)


def _fixed(network: nn.Module, norms: Mapping[nn.Module, FixedNorm]) -> nn.Module:
    """A copy of the module tree, not of its weights, with these norms in the place of those they are of."""
    if network in norms:
        return norms[network]
    twin = copy.copy(network)
    twin._modules = {name: child and _fixed(child, norms) for name, child in network._modules.items()}
    return twin
