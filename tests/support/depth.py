"""transformers' DPT-hybrid with random weights, and those weights under MiDaS's names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inkwash.models.dpt import DPT, DPTSpec
from inkwash.models.dpt_names import transformers_names

SPEC = DPTSpec(64, 4, 96, 4, 32, ((2, 32, 128), (1, 32, 128), (1, 64, 256)), (48, 64), 32)


def dpt_reference(seed: int = 0) -> Any:
    """A tiny network of ``SPEC``, for 64x64 pixels."""
    from transformers import BitConfig, DPTConfig, DPTForDepthEstimation

    backbone = BitConfig(
        embedding_size=SPEC.stem,
        hidden_sizes=[channels for _, _, channels in SPEC.stages],
        depths=[count for count, _, _ in SPEC.stages],
        layer_type="bottleneck",
        global_padding="same",
        embedding_dynamic_padding=True,
        out_features=["stage1", "stage2", "stage3"],
    )
    torch.manual_seed(seed)
    network: Any = DPTForDepthEstimation(
        DPTConfig(
            is_hybrid=True,
            hidden_size=SPEC.width,
            num_hidden_layers=SPEC.layers,
            num_attention_heads=1,
            intermediate_size=SPEC.mlp_width,
            layer_norm_eps=1e-6,
            image_size=64,
            backbone_config=backbone,
            backbone_out_indices=[0, 1, 2, 3],
            backbone_featmap_shape=[1, SPEC.stages[-1][2], 4, 4],
            neck_hidden_sizes=[SPEC.stages[0][2], SPEC.stages[1][2], *SPEC.reassembled],
            reassemble_factors=[1, 1, 1, 0.5],
            fusion_hidden_size=SPEC.features,
        )
    ).eval()
    for name, parameter in network.named_parameters():  # so that no zero or one hides a mistake
        scale = 0.2 if parameter.ndim == 1 else max(parameter[0].numel(), 1) ** -0.5
        parameter.data = torch.randn(parameter.shape) * scale + (parameter.ndim == 1 and name.endswith("weight"))
    network.head.head[4].bias.data.fill_(3.0)  # else the last ReLU may leave nothing
    return network


@torch.no_grad()
def theirs(reference: Any, picture: Tensor) -> Tensor:
    """Depths (B, H, W) by transformers' network, which takes sizes other than its own only by its parts."""
    embedded = reference.dpt.embeddings(picture, interpolate_pos_encoding=True)
    x, seen = embedded.last_hidden_states, []
    for layer in reference.dpt.encoder.layer:
        x = layer(x)
        seen.append(x)
    maps = [*embedded.intermediate_activations, *(seen[index] for index in reference.config.backbone_out_indices[2:])]
    height, width = picture.shape[2] // 16, picture.shape[3] // 16
    depth: Tensor = reference.head(reference.neck(maps, height, width))
    return depth


def midas_state(reference: Any) -> dict[str, Tensor]:
    """Its weights as MiDaS's files have them, without those that nobody reads."""
    state = reference.state_dict()
    with torch.device("meta"):
        names = list(DPT(_spec_of(reference)).state_dict())
    return {
        name: torch.cat([state[one] for one in theirs]) if len(theirs) > 1 else state[theirs[0]]
        for name, theirs in transformers_names(names).items()
    }


def _spec_of(reference: Any) -> DPTSpec:
    config, bit = reference.config, reference.config.backbone_config
    inner = [max(8, channels // 4) for channels in bit.hidden_sizes]
    stages = tuple(zip(bit.depths, inner, bit.hidden_sizes, strict=False))[:3]
    third, fourth = config.neck_hidden_sizes[2:]
    grid = config.image_size // config.patch_size
    return DPTSpec(
        config.hidden_size, config.num_hidden_layers, config.intermediate_size, grid, bit.embedding_size, stages,
        (third, fourth), config.fusion_hidden_size,
    )  # fmt: skip
