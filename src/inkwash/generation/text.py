"""Chunks of tokens -> the vectors the U-Net attends to, with emphasis applied as A1111 does."""

from __future__ import annotations

import torch
from torch import Tensor

from inkwash.core.request import Emphasis
from inkwash.generation.run import Encoded
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.prompt import Chunk


def encode_chunks(model: StableDiffusion, chunks: tuple[Chunk, ...], clip_skip: int, emphasis: Emphasis) -> Encoded:
    """Encode each chunk by itself and join them; the pooled text is the first chunk's, as in A1111."""
    encoded = [encode_chunk(model, chunk, clip_skip, emphasis) for chunk in chunks]
    return Encoded(torch.cat([chunk.context for chunk in encoded]), encoded[0].pooled)


def encode_chunk(model: StableDiffusion, chunk: Chunk, clip_skip: int, emphasis: Emphasis) -> Encoded:
    """One chunk through every text encoder of the model; their vectors stand side by side."""
    vectors, pooled = [], None
    for encoder, spec in enumerate(model.spec.texts):
        ids = padded(chunk, spec.padding)
        read, summary = model.encode_tokens(encoder, ids, clip_skip, end=chunk.used + 1)
        vectors.append(weighted(read, chunk.weights, emphasis))
        pooled = summary if pooled is None else pooled
    return Encoded(torch.cat(vectors, dim=1), pooled)


def padded(chunk: Chunk, padding: int) -> Tensor:
    """The ids of a chunk, filled up behind its end token as the encoder was trained: (77,) int64."""
    ids = torch.tensor(chunk.ids)
    ids[chunk.used + 2 :] = padding
    return ids


def weighted(vectors: Tensor, weights: tuple[float, ...], emphasis: Emphasis) -> Tensor:
    """Each token's vector times its weight; (77, width).

    "Original" restores the mean over the chunk afterwards, so that emphasis changes proportions, not loudness;
    "No norm" does not; for "Ignore" and "None" the chunk's weights are 1 already.
    """
    if all(weight == 1.0 for weight in weights):
        return vectors
    changed = vectors * torch.tensor(weights, device=vectors.device)[:, None]
    return changed * (vectors.mean() / changed.mean()) if emphasis == "Original" else changed
