"""DPT-hybrid's weights under the names of transformers' DPTForDepthEstimation, as Hugging Face folders have them."""

from __future__ import annotations

from collections.abc import Iterable

_PLAIN = {
    "pretrained.model.cls_token": "dpt.embeddings.cls_token",
    "pretrained.model.pos_embed": "dpt.embeddings.position_embeddings",
}
_MODULES = {
    "pretrained.model.patch_embed.proj": "dpt.embeddings.projection",
    "pretrained.act_postprocess3.0.project.0": "neck.reassemble_stage.readout_projects.2.0",
    "pretrained.act_postprocess4.0.project.0": "neck.reassemble_stage.readout_projects.3.0",
    "pretrained.act_postprocess3.3": "neck.reassemble_stage.layers.2.projection",
    "pretrained.act_postprocess4.3": "neck.reassemble_stage.layers.3.projection",
    "pretrained.act_postprocess4.4": "neck.reassemble_stage.layers.3.resize",
    **{f"scratch.output_conv.{number}": f"head.head.{number}" for number in (0, 2, 4)},
    **{f"scratch.layer{number}_rn": f"neck.convs.{number - 1}" for number in range(1, 5)},
}
_BACKBONE, _BIT = "pretrained.model.patch_embed.backbone.", "dpt.embeddings.backbone.bit."
_STEM = {"stem.conv": "embedder.convolution", "stem.norm": "embedder.norm"}
_BLOCKS, _LAYERS = "pretrained.model.blocks.", "dpt.encoder.layer."
_BLOCK = {
    "norm1": ("layernorm_before",),
    "attn.qkv": ("attention.attention.query", "attention.attention.key", "attention.attention.value"),
    "attn.proj": ("attention.output.dense",),
    "norm2": ("layernorm_after",),
    "mlp.fc1": ("intermediate.dense",),
    "mlp.fc2": ("output.dense",),
}
_FUSION = "scratch.refinenet"
_UNITS = {"out_conv": "projection", "resConfUnit1": "residual_layer1", "resConfUnit2": "residual_layer2"}


def transformers_names(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Each of MiDaS's ``names`` -> transformers'; three where query, key and value are joined here, in that order."""
    return {name: _translated(name) for name in names}


def _translated(name: str) -> tuple[str, ...]:
    module, _, kind = name.rpartition(".")
    if name in _PLAIN or module in _MODULES:
        return (_PLAIN.get(name) or f"{_MODULES[module]}.{kind}",)
    if name.startswith(_BACKBONE):
        inside = module.removeprefix(_BACKBONE)
        return (f"{_BIT}{_STEM.get(inside) or _stage(inside)}.{kind}",)
    if name.startswith(_BLOCKS):
        number, _, inside = module.removeprefix(_BLOCKS).partition(".")
        return tuple(f"{_LAYERS}{number}.{theirs}.{kind}" for theirs in _BLOCK[inside])
    number, _, inside = module.removeprefix(_FUSION).partition(".")
    unit, _, convolution = inside.partition(".")
    theirs = f"neck.fusion_stage.layers.{4 - int(number)}.{_UNITS[unit]}"
    return (f"{theirs}.{convolution.replace('conv', 'convolution')}.{kind}" if convolution else f"{theirs}.{kind}",)


def _stage(module: str) -> str:
    """ "stages.0.blocks.1.conv1" -> "encoder.stages.0.layers.1.conv1" """
    return f"encoder.{module.replace('.blocks.', '.layers.')}"
