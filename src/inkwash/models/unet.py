"""The noise predictor: a U-Net with cross-attention to the text, arXiv:2112.10752.

Parameter names are those of diffusers' ``UNet2DConditionModel``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkwash.checkpoint.parameters import reads_text_only
from inkwash.checkpoint.spec import UNetSpec
from inkwash.models.attention import Attend, SpatialTransformer, sdpa
from inkwash.models.blocks import GROUPS, ResnetBlock, Upsample, table

EPS = 1e-5


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Sinusoids of t, cosines first: (B,) -> (B, width) float32."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) / half * torch.arange(half, dtype=torch.float32, device=t.device))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimeEmbedding(nn.Module):
    """Two linear layers with a SiLU between."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width_in, width_out)
        self.linear_2 = nn.Linear(width_out, width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(x)))


class Downsample(nn.Module):
    """A 3x3 convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Level(nn.Module):
    """Residual blocks of one resolution, each followed by attention where the level has any."""

    def __init__(
        self, spec: UNetSpec, level: int, inputs: list[int], time_width: int, attend: Attend, down: bool, last: bool
    ) -> None:
        """inputs: channels entering each residual block.  last: this level does not change the resolution after it."""
        super().__init__()
        channels, depth, text_only = spec.channels[level], spec.depths[level], reads_text_only(spec, level)
        self.resnets = nn.ModuleList(ResnetBlock(width, channels, time_width, EPS) for width in inputs)
        self.attentions = nn.ModuleList(
            SpatialTransformer(
                channels, spec.context_width, spec.heads[level], depth, spec.linear_projection, attend, text_only
            )
            for _ in inputs
            if depth
        )
        self.downsamplers = nn.ModuleList([Downsample(channels)] if down and not last else [])
        self.upsamplers = nn.ModuleList([Upsample(channels)] if not down and not last else [])

    def block(self, index: int, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        x = self.resnets[index](x, time)
        return self.attentions[index](x, context) if len(self.attentions) else x


class MidBlock(nn.Module):
    """Residual, attention, residual at the lowest resolution."""

    def __init__(self, spec: UNetSpec, time_width: int, attend: Attend) -> None:
        super().__init__()
        width = spec.channels[-1]
        self.resnets = nn.ModuleList(ResnetBlock(width, width, time_width, EPS) for _ in range(2))
        self.attentions = nn.ModuleList(
            [
                SpatialTransformer(
                    width, spec.context_width, spec.mid_heads, spec.mid_depth, spec.linear_projection, attend
                )
            ]
        )

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        x = self.attentions[0](self.resnets[0](x, time), context)
        return self.resnets[1](x, time)


class UNet(nn.Module):
    """Predicts eps, v or x0 (whatever it was trained for) from noisy latents, time and text."""

    def __init__(self, spec: UNetSpec, attend: Attend = sdpa) -> None:
        super().__init__()
        first, *_, last = widths = spec.channels
        time_width = 4 * first
        top = len(widths) - 1
        self.spec = spec
        self.conv_in = nn.Conv2d(spec.in_channels, first, 3, padding=1)
        self.time_embedding = TimeEmbedding(first, time_width)
        if spec.added_width:
            self.add_embedding = TimeEmbedding(spec.added_width, time_width)
        if spec.noise_labels:
            self.class_embedding = table(spec.noise_labels, time_width, std=1.0)

        skips = [first]
        self.down_blocks = nn.ModuleList()
        for level, width in enumerate(widths):
            inputs = [skips[-1]] + [width] * (spec.layers - 1)
            self.down_blocks.append(Level(spec, level, inputs, time_width, attend, down=True, last=level == top))
            skips += [width] * (spec.layers + (level != top))

        self.mid_block = MidBlock(spec, time_width, attend)

        x_width = last
        self.up_blocks = nn.ModuleList()
        for level in reversed(range(len(widths))):
            inputs = []
            for _ in range(spec.layers + 1):
                inputs.append(x_width + skips.pop())
                x_width = widths[level]
            self.up_blocks.append(Level(spec, level, inputs, time_width, attend, down=False, last=level == 0))

        self.conv_norm_out = nn.GroupNorm(GROUPS, first, eps=EPS)
        self.conv_out = nn.Conv2d(first, spec.out_channels, 3, padding=1)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        added: Tensor | None = None,
        noise_levels: Tensor | None = None,
    ) -> Tensor:
        """x: (B, in_channels, h, w) latents of any size.  t: (B,) in 0..999, fractions allowed.  context: (B, M, D).

        added: (B, added_width), for SDXL; see ``stable_diffusion.StableDiffusion.added``.  noise_levels: (B,) int64,
        of the small picture that the x4 upscaler sees.
        Returns (B, out_channels, h, w).
        """
        time = self.time_embedding(timestep_embedding(t, self.spec.channels[0]).to(x.dtype))
        if added is not None:
            time = time + self.add_embedding(added)
        if noise_levels is not None:
            time = time + self.class_embedding(noise_levels)
        time = F.silu(time)
        x = self.conv_in(x)
        skips = [x]
        for level in _levels(self.down_blocks):
            for index in range(len(level.resnets)):
                x = level.block(index, x, time, context)
                skips.append(x)
            for downsample in level.downsamplers:
                x = downsample(x)
                skips.append(x)
        x = self.mid_block(x, time, context)
        for level in _levels(self.up_blocks):
            for index in range(len(level.resnets)):
                x = level.block(index, torch.cat([x, skips.pop()], dim=1), time, context)
            for upsample in level.upsamplers:
                x = upsample(x, skips[-1].shape[2:])
        return self.conv_out(F.silu(self.conv_norm_out(x)))


def _levels(blocks: nn.ModuleList) -> Iterator[Level]:
    return cast(Iterator[Level], iter(blocks))
