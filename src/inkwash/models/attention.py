"""Attention layers and the spatial transformer of arXiv:2112.10752.  The kernel enters by argument."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkwash.models.blocks import GROUPS, image_of, per_token, tokens_of

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""softmax(q k^T / sqrt(d)) v on (B, heads, N, d), (B, heads, M, d), (B, heads, M, d) -> (B, heads, N, d)."""


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's own kernel; the right one on a GPU and for training."""
    return F.scaled_dot_product_attention(q, k, v)


class Attention(nn.Module):
    """Multi-head attention of tokens (B, N, C) over a context (B, M, D), or over themselves."""

    def __init__(self, width: int, context_width: int, heads: int, attend: Attend, bias: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.attend = attend
        self.to_q = nn.Linear(width, width, bias=bias)
        self.to_k = nn.Linear(context_width, width, bias=bias)
        self.to_v = nn.Linear(context_width, width, bias=bias)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        context = x if context is None else context
        q, k, v = (self._split(y) for y in (self.to_q(x), self.to_k(context), self.to_v(context)))
        return self.to_out[0](self.attend(q, k, v).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, heads, N, C / heads)"""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class GEGLU(nn.Module):
    """a * gelu(b), arXiv:2002.05202."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


FEED = 16384
"""Tokens a feed-forward layer takes at a time: its hidden layer is eight times as wide as they are."""


class FeedForward(nn.Module):
    """GEGLU, then back; diffusers names its layers net.0 and net.2 (net.1 is a dropout of rate 0)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.ModuleList([GEGLU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, N, C).  Tokens do not see one another, so where they are many, parts go one after another."""
        if x.shape[1] <= FEED or torch.is_grad_enabled():
            return self.net[2](self.net[0](x))
        return torch.cat([self.net[2](self.net[0](part)) for part in torch.split(x, FEED, dim=1)], dim=1)


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention to the text, feed-forward; each on a LayerNorm, each added.

    text_only: the first attention is to the text, too, as where the x4 upscaler has too many pixels for themselves.
    """

    def __init__(self, width: int, context_width: int, heads: int, attend: Attend, text_only: bool = False) -> None:
        super().__init__()
        self.text_only = text_only
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, context_width if text_only else width, heads, attend)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, context_width, heads, attend)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x = x + self.attn1(self.norm1(x), context if self.text_only else None)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """The pixels of a feature map as tokens that look at one another and at the text."""

    def __init__(
        self,
        channels: int,
        context_width: int,
        heads: int,
        depth: int,
        linear_projection: bool,
        attend: Attend,
        text_only: bool = False,
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.proj_in = _projection(channels, linear_projection)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, context_width, heads, attend, text_only) for _ in range(depth)
        )
        self.proj_out = _projection(channels, linear_projection)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """x: (B, C, H, W).  context: (B, M, D)."""
        tokens = per_token(self.proj_in, tokens_of(self.norm(x)))
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        return x + image_of(per_token(self.proj_out, tokens), x.shape[2], x.shape[3])


def _projection(channels: int, linear: bool) -> nn.Module:
    return nn.Linear(channels, channels) if linear else nn.Conv2d(channels, channels, 1)
