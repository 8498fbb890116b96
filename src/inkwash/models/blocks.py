"""Pieces that the U-Net and the autoencoder share.  Parameter names are diffusers', so its files load unchanged."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkwash.runtime.packing import PackedConv2d

GROUPS = 32


class ResnetBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))) + time))), arXiv:2006.11239 appendix B.

    ``time_width`` is None in the autoencoder, which has no time.
    """

    def __init__(self, in_channels: int, out_channels: int, time_width: int | None, eps: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, in_channels, eps=eps)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_width, out_channels) if time_width else None
        self.norm2 = nn.GroupNorm(GROUPS, out_channels, eps=eps)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """x: (B, in, H, W).  time: (B, time_width), already through SiLU.  Returns (B, out, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time_emb_proj is not None and time is not None:
            h = h + self.time_emb_proj(time)[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Upsample(nn.Module):
    """Nearest-neighbour doubling, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, ...] | None = None) -> Tensor:
        """x: (B, C, H, W).  size: (H', W') of the skip it must meet when that is not exactly the double."""
        height, width = size or (2 * x.shape[2], 2 * x.shape[3])
        return self.conv(F.interpolate(x, size=(height, width), mode="nearest"))


def table(count: int, width: int, std: float) -> nn.Embedding:
    """``count`` vectors, at first random.

    On the meta device they are left empty: normal_ imports torch._dynamo there, which costs a second at every start.
    """
    values = torch.empty(count, width)
    if not values.is_meta:
        nn.init.normal_(values, std=std)
    return nn.Embedding.from_pretrained(values, freeze=False)  # type: ignore[no-untyped-call]


class Wrapped(nn.Module):
    """A convolution whose input continues at the opposite edge."""

    def __init__(self, conv: nn.Conv2d | PackedConv2d) -> None:
        super().__init__()
        high, wide = int(conv.padding[0]), int(conv.padding[1])
        self.margin = (wide, wide, high, high)
        self.conv = copy.copy(conv)
        self.conv.padding = (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, self.margin, mode="circular"))


def tokens_of(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H*W, C); no copy when x is channels_last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def image_of(tokens: Tensor, height: int, width: int) -> Tensor:
    """(B, H*W, C) -> (B, C, H, W) as a channels_last view."""
    return tokens.view(tokens.shape[0], height, width, -1).permute(0, 3, 1, 2)


def per_token(layer: nn.Module, tokens: Tensor) -> Tensor:
    """Apply a Linear, or a 1x1 convolution, to every token: (B, N, in) -> (B, N, out)."""
    if isinstance(layer, nn.Conv2d):
        return F.linear(tokens, layer.weight.flatten(1), layer.bias)
    return layer(tokens)
