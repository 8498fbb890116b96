"""CLIP's text transformer, arXiv:2103.00020.  Names are those of transformers' ``CLIPTextModel``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkwash.checkpoint.spec import TextSpec
from inkwash.models.blocks import table


def quick_gelu(x: Tensor) -> Tensor:
    """x * sigmoid(1.702 x): what OpenAI's CLIP was trained with."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"quick_gelu": quick_gelu, "gelu": F.gelu}


class Embeddings(nn.Module):
    """Token vectors plus position vectors, with CLIP's first values."""

    def __init__(self, spec: TextSpec) -> None:
        super().__init__()
        self.token_embedding = table(spec.vocabulary, spec.width, std=0.02)
        self.position_embedding = table(spec.positions, spec.width, std=0.01)

    def forward(self, ids: Tensor) -> Tensor:
        return self.token_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]


class SelfAttention(nn.Module):
    """Causal: a token sees itself and those before it."""

    def __init__(self, spec: TextSpec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.k_proj = nn.Linear(spec.width, spec.width)
        self.v_proj = nn.Linear(spec.width, spec.width)
        self.q_proj = nn.Linear(spec.width, spec.width)
        self.out_proj = nn.Linear(spec.width, spec.width)

    def forward(self, x: Tensor) -> Tensor:
        layers = (self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (layer(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2) for layer in layers)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, spec: TextSpec) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[spec.activation]
        self.fc1 = nn.Linear(spec.width, spec.mlp_width)
        self.fc2 = nn.Linear(spec.mlp_width, spec.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self, spec: TextSpec) -> None:
        super().__init__()
        self.self_attn = SelfAttention(spec)
        self.layer_norm1 = nn.LayerNorm(spec.width)
        self.mlp = MLP(spec)
        self.layer_norm2 = nn.LayerNorm(spec.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Encoder(nn.Module):
    def __init__(self, spec: TextSpec) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(spec) for _ in range(spec.layers))


class TextTransformer(nn.Module):
    def __init__(self, spec: TextSpec) -> None:
        super().__init__()
        self.embeddings = Embeddings(spec)
        self.encoder = Encoder(spec)
        self.final_layer_norm = nn.LayerNorm(spec.width)


class TextEncoder(nn.Module):
    """Turns 77 token ids into 77 vectors for the U-Net's cross-attention and, where it has a projection, into one."""

    def __init__(self, spec: TextSpec) -> None:
        super().__init__()
        self.spec = spec
        self.text_model = TextTransformer(spec)
        if spec.projection:
            self.text_projection = nn.Linear(spec.width, spec.projection, bias=False)

    def forward(self, ids: Tensor, clip_skip: int = 1) -> Tensor:
        """ids: (B, 77) int64.  Returns (B, 77, width): what the U-Net attends to.

        clip_skip 1 reads the last layer, 2 the one before it, ..., at most ``layers``; as in A1111 the final norm is
        applied whichever layer is read.  SDXL's encoders are read at the last layer but one, before the norm, always.
        """
        return self.encode(self.text_model.embeddings(ids), clip_skip)

    def encode(self, x: Tensor, clip_skip: int = 1) -> Tensor:
        """The same from embedded tokens (B, 77, width), where embeddings of textual inversion have been put in."""
        skip = 2 if self.spec.penultimate else clip_skip
        for layer in self.text_model.encoder.layers[: self.spec.layers + 1 - skip]:
            x = layer(x)
        return x if self.spec.penultimate else self.text_model.final_layer_norm(x)

    def pool(self, penultimate: Tensor, ends: Tensor) -> Tensor:
        """The pooled text: the last layer's vector at each text's end, normed and projected.

        penultimate: (B, 77, width), from an encoder that is read there.  ends: (B,), the index of the first end token.
        Returns (B, projection).
        """
        x = self.text_model.encoder.layers[-1](penultimate)
        x = x[torch.arange(len(ends), device=x.device), ends]
        return self.text_projection(self.text_model.final_layer_norm(x))
