"""Where a drawing looks: the same weights, with every cross-attention telling how much each place heeds each token."""

from __future__ import annotations

import copy
import dataclasses
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkwash.models.absent import Absent
from inkwash.models.attention import Attention
from inkwash.models.stable_diffusion import StableDiffusion

Network = TypeVar("Network", bound=nn.Module)


class Sight:
    """Gathers the attention of one picture, whose rows have calls of their own.

    height, width: of the latents.  tokens: of the prompt's context, 77 a chunk; longer contexts repeat it.
    """

    def __init__(self, height: int, width: int, tokens: int) -> None:
        self.height = height
        self.width = width
        self.tokens = tokens
        self._total: Tensor | None = None
        self._layers = 0

    def note(self, weights: Tensor) -> None:
        """weights: (B, N, M), each row a distribution over the context; the first of B is the prompt's."""
        places, context = weights.shape[1:]
        size = self._size(places)
        if size is None or context % self.tokens:
            return
        own = weights[0].float().reshape(places, -1, self.tokens).sum(1)  # (N, tokens)
        maps = own.T.reshape(1, self.tokens, *size)
        maps = F.interpolate(maps, (self.height, self.width), mode="bilinear", align_corners=False)[0]
        self._total = maps if self._total is None else self._total + maps
        self._layers += 1

    def take(self) -> Tensor | None:
        """(tokens, height, width) on the CPU: the mean over all layers and heads since the last call, 0..1."""
        total, layers = self._total, self._layers
        self._total, self._layers = None, 0
        return None if total is None else (total / layers).cpu()

    def _size(self, places: int) -> tuple[int, int] | None:
        """Which level of the U-Net has so many places: each halves the one before, rounding up."""
        height, width = self.height, self.width
        while height * width > places:
            height, width = (height + 1) // 2, (width + 1) // 2
        return (height, width) if height * width == places else None


class Watched(nn.Module):
    """A cross-attention that answers as before and tells its weights."""

    def __init__(self, attention: Attention, sight: Sight) -> None:
        super().__init__()
        self.attention = attention
        self.sight = sight

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q, k = self._split(self.attention.to_q(x[:1])), self._split(self.attention.to_k(context[:1]))
        scores = q.float() @ k.float().transpose(-1, -2) / q.shape[-1] ** 0.5
        self.sight.note(torch.softmax(scores, dim=-1).mean(dim=1))
        return self.attention(x, context)

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, heads, N, C / heads)"""
        return x.reshape(*x.shape[:2], self.attention.heads, -1).transpose(1, 2)


def observed(model: StableDiffusion, sight: Sight) -> StableDiffusion:
    """A view of the model that tells ``sight``.  Weights are shared, results the same; ``model`` is unchanged."""
    return dataclasses.replace(model, unet=_watching(model.unet, sight))


def _watching(network: Network, sight: Sight) -> Network:
    """A copy of the module tree, not of its weights, with each cross-attention watched."""
    twin = copy.copy(network)
    twin._modules = {
        name: child and _replacement(name, child, sight) for name, child in network._modules.items()
    }  # fmt: skip
    return twin


def _replacement(name: str, child: nn.Module, sight: Sight) -> nn.Module:
    if isinstance(child, Absent):
        return child.seen(lambda part: _replacement(name, part, sight))
    if isinstance(child, Attention) and name == "attn2":  # attn1 looks at the picture itself
        return Watched(child, sight)
    return _watching(child, sight)
