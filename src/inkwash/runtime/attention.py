"""Exact attention for CPUs: a tile of queries at a time, so that its scores stay in the cache.

PyTorch's own CPU kernel reaches a sixth of a CPU's bfloat16 speed; three plain calls a tile (multiply, softmax,
multiply) reach two fifths.  Nothing is approximated: every query sees every key.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""softmax(q k^T / sqrt(d)) v on (B, heads, N, d), (B, heads, M, d), (B, heads, M, d) -> (B, heads, N, d)."""

TILE_SCORES = 2**21
"""Scores a tile: 4 MB in bfloat16, the fastest of 2**18 to 2**23 at 4096, 1024 and 256 tokens."""

LANES = 16
"""Values of ``v`` are padded to a multiple of this: 40 columns take a quarter longer than 48."""


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's own kernel, best on GPUs."""
    return F.scaled_dot_product_attention(q, k, v)


def chunked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same in tiles.  Buffers live for one call, so threads may share it.

    Scores are kept in the tensors' dtype, the softmax over them is computed in float32.
    """
    rows, heads, queries, width = q.shape
    out = q.new_empty(rows, queries, heads, width)
    group, tile = _tile(heads, queries, k.shape[2])
    scores = q.new_empty(group * tile * k.shape[2])
    for row in range(rows):  # a row at a time: its result cannot depend on its neighbours
        for head in range(0, heads, group):
            part = slice(head, head + group)
            _heads(q[row, part], k[row, part], v[row, part], scores, tile, out[row, :, part])
    return out.transpose(1, 2)


def _heads(q: Tensor, k: Tensor, v: Tensor, scores: Tensor, tile: int, out: Tensor) -> None:
    """Some heads of one row: (h, N, d), (h, M, d), (h, M, d) into out (N, h, d).  scores: room for one tile."""
    heads, _, width = q.shape
    keys = k.contiguous().transpose(1, 2)
    values = F.pad(v, (0, -width % LANES)).contiguous()
    scale = 1 / math.sqrt(width)
    for start in range(0, q.shape[1], tile):
        queries = q[:, start : start + tile].contiguous()
        room = scores[: heads * queries.shape[1] * k.shape[1]].view(heads, queries.shape[1], k.shape[1])
        torch.baddbmm(room, queries, keys, beta=0, alpha=scale, out=room)
        torch.softmax(room, dim=-1, out=room)
        out[start : start + tile] = torch.bmm(room, values)[..., :width].transpose(0, 1)


def _tile(heads: int, queries: int, keys: int) -> tuple[int, int]:
    """(heads, queries) of a tile: whole heads together where they are small, parts of one where they are not."""
    group = max(1, min(heads, TILE_SCORES // (queries * keys)))
    return group, max(1, min(queries, TILE_SCORES // (group * keys)))


def attention_for(device: torch.device) -> Attend:
    """The fastest exact attention of a device."""
    return on_cpu if device.type == "cpu" else sdpa


def on_cpu(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Tiles in bfloat16, PyTorch's kernel in float32, whose two speeds are equal; a row at a time in both.

    A row's result never depends on the other rows of the call.
    """
    if q.dtype is torch.bfloat16:
        return chunked(q, k, v)
    return torch.cat([sdpa(*row) for row in zip(q.split(1), k.split(1), v.split(1), strict=True)])
