"""The autoencoder's blocks, walked one after another by a ``Banded``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

from inkwash.models.banded import Banded, Layer
from inkwash.models.blocks import ResnetBlock, Upsample
from inkwash.models.vae import AttentionBlock, Decoder, Downsample, Encoder, Level, MidBlock

KEYS = 128 * 128
"""Pixels that every pixel looks at in the fast way, at the most, evenly over the picture."""


def middle(run: Banded, x: Layer, block: MidBlock, fast: bool) -> Layer:
    x = run.residual(x, cast(ResnetBlock, block.resnets[0]))
    step = math.ceil(math.sqrt(x.map.height * x.map.width / KEYS)) if fast else 1
    x = run.attention(x, cast(AttentionBlock, block.attentions[0]), step)
    return run.residual(x, cast(ResnetBlock, block.resnets[1]))


def levels(run: Banded, x: Layer, blocks: Iterable[nn.Module]) -> Layer:
    for level in blocks:
        x = change(run, residuals(run, x, cast(Level, level)), cast(Level, level))
    return x


def residuals(run: Banded, x: Layer, level: Level) -> Layer:
    for block in level.resnets:
        x = run.residual(x, cast(ResnetBlock, block))
    return x


def change(run: Banded, x: Layer, level: Level) -> Layer:
    """To the next level's resolution, where there is one."""
    if not level.resample:
        return x
    layer = getattr(level, level.resample)[0]
    return run.down(x, layer) if isinstance(layer, Downsample) else run.up(x, cast(Upsample, layer).conv)


def finished(run: Banded, x: Layer, network: Encoder | Decoder) -> Tensor:
    """The last norm and convolution: (1, C, H, W)."""
    norm = run.norm(x, network.conv_norm_out)
    out = run.convolution(x.map, network.conv_out, norm.then_silu)
    return out.map.read(0, out.map.height)
