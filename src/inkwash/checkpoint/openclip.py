"""OpenCLIP's text transformer in LDM files: names of its own, q, k and v in one tensor, the projection transposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inkwash.checkpoint.parameters import Shape, text_parameters
from inkwash.checkpoint.spec import TextSpec

if TYPE_CHECKING:
    import torch

_ENDS = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection",
}
_LAYER = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_JOINED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")  # in the order of their rows
_LAYERS = "text_model.encoder.layers."


def openclip_names(spec: TextSpec) -> dict[str, str]:
    """transformers' name -> OpenCLIP's, of every weight.  The q, k and v of a layer have the same one."""
    return {name: _ENDS.get(name) or _layer_name(name) for name in text_parameters(spec)}


def stored_shape(key: str, shape: Shape) -> Shape:
    """The shape of the tensor ``key`` that holds a weight of ``shape``."""
    if ".attn.in_proj_" in key:
        return (3 * shape[0], *shape[1:])
    return shape[::-1] if key.endswith("text_projection") else shape


def cut(tensor: torch.Tensor, key: str, name: str) -> torch.Tensor:
    """The weight ``name`` out of the tensor ``key``."""
    if ".attn.in_proj_" in key:
        return tensor.chunk(3)[next(i for i, part in enumerate(_JOINED) if part in name)]
    return tensor.T if key.endswith("text_projection") else tensor


def join(key: str, weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """The tensor ``key`` out of the weights it holds, in the order of ``openclip_names``: the inverse of ``cut``."""
    import torch

    if len(weights) == 1:
        return weights[0].T if key.endswith("text_projection") else weights[0]
    return torch.cat(list(weights))


def _layer_name(name: str) -> str:
    number, _, rest = name.removeprefix(_LAYERS).partition(".")
    module, _, kind = rest.rpartition(".")
    block = f"transformer.resblocks.{number}."
    return block + (f"attn.in_proj_{kind}" if module in _JOINED else f"{_LAYER[module]}.{kind}")
