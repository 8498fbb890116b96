"""Chunks of tokens -> the vectors the U-Net attends to, with emphasis applied as A1111 does."""

from __future__ import annotations

import torch
from torch import Tensor

from inkwash.core.request import Emphasis
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.prompt import Chunk


def encode_chunks(model: StableDiffusion, chunks: tuple[Chunk, ...], clip_skip: int, emphasis: Emphasis) -> Tensor:
    """Encode each chunk by itself and join them: (77 * len(chunks), D) float32."""
    return torch.cat([encode_chunk(model, chunk, clip_skip, emphasis) for chunk in chunks])


def encode_chunk(model: StableDiffusion, chunk: Chunk, clip_skip: int, emphasis: Emphasis) -> Tensor:
    """One chunk: (77, D) float32, each token's vector times its weight.

    "Original" restores the mean over the chunk afterwards, so that emphasis changes proportions, not loudness;
    "No norm" does not; for "Ignore" and "None" the chunk's weights are 1 already.
    """
    vectors = model.encode_tokens(torch.tensor(chunk.ids), clip_skip)
    if all(weight == 1.0 for weight in chunk.weights):
        return vectors
    weighted = vectors * torch.tensor(chunk.weights, device=vectors.device)[:, None]
    return weighted * (vectors.mean() / weighted.mean()) if emphasis == "Original" else weighted
