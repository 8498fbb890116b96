"""Widths and depths of each network, read from the names and shapes of its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from inkwash.checkpoint.families import Rules, TextPlace
from inkwash.checkpoint.header import TensorInfo
from inkwash.checkpoint.parameters import Shape
from inkwash.checkpoint.spec import Layout, TextSpec, UNetSpec, VAESpec
from inkwash.core.errors import UnsupportedModel

LONGEST_NAME, MOST_DOTS = 128, 16  # of any weight; bounds the memory that hostile names can take
GROUPS = 32  # of every GroupNorm in the U-Net and the VAE
HEAD_WIDTH = 64  # of the text encoders, and of the U-Nets of SD2 and XL
OTHER_MODEL = "Use a checkpoint of Stable Diffusion 1.x, 2.x or XL."
VIT_H = (1024, 23)  # width and layers of SD2's text encoder when its unused last layer was left out of the file


class Weights:
    """The weights of one network: shapes by name, without the prefix they have in the file."""

    def __init__(self, path: Path, prefix: str, tensors: Mapping[str, TensorInfo]) -> None:
        self.path = path
        self.prefix = prefix
        names = (
            key
            for key in tensors
            if key.startswith(prefix) and len(key) <= LONGEST_NAME and key.count(".") <= MOST_DOTS
        )
        self.shapes = {key[len(prefix) :]: tensors[key].shape for key in names}
        self.modules = {name[:dot] for name in self.shapes for dot, letter in enumerate(name) if letter == "."}

    def shape(self, name: str, dimensions: int) -> Shape:
        """Raises UnsupportedModel if there is no such weight or it has not so many dimensions."""
        shape = self.shapes.get(name)
        if shape is None:
            raise self.unsupported(f"has no {self.prefix}{name}")
        if len(shape) != dimensions:
            raise self.unsupported(f"has {self.prefix}{name} in the shape {list(shape)}")
        return shape

    def count(self, module: str) -> int:
        """How many of ``module``.0, .1, .2, ... there are."""
        number = 0
        while f"{module}.{number}" in self.modules:
            number += 1
        return number

    def unsupported(self, reason: str) -> UnsupportedModel:
        """The error for a network that this version cannot build; ``reason`` continues the file's name."""
        return UnsupportedModel(f"{self.path} {reason}.", OTHER_MODEL)


def unet_spec(weights: Weights, layout: Layout, heads: Sequence[int]) -> UNetSpec:
    """heads: attention heads of each level, outermost first; one number serves all levels, none: width / 64."""
    if layout == "ldm":
        levels, conv_in, conv_out, mid = _ldm_levels(weights), "input_blocks.0.0", "out.2", "middle_block.1"
    else:
        levels, conv_in, conv_out, mid = _diffusers_levels(weights), "conv_in", "conv_out", "mid_block.attentions.0"
    labels = "label_emb.weight" if layout == "ldm" else "class_embedding.weight"
    added = weights.shapes.get("label_emb.0.0.weight" if layout == "ldm" else "add_embedding.linear_1.weight", ())
    alike = bool(levels) and all(len(set(level)) == 1 and len(level) == len(levels[0]) for level in levels)
    if not alike:
        raise weights.unsupported("has a U-Net whose levels are not built alike")
    channels, depths = tuple(level[0][0] for level in levels), tuple(level[0][1] for level in levels)
    mid_depth = weights.count(f"{mid}.transformer_blocks")
    if not mid_depth:
        raise weights.unsupported("has a U-Net without cross-attention, so it cannot be steered by text")
    _check_groups(weights, "U-Net", channels)
    heads = heads or [max(1, width // HEAD_WIDTH) for width in channels]
    every_head = tuple(heads) * len(channels) if len(heads) == 1 else tuple(heads)
    _check_heads(weights, every_head, channels, (*depths[:-1], mid_depth))
    return UNetSpec(
        in_channels=weights.shape(f"{conv_in}.weight", 4)[1],
        out_channels=weights.shape(f"{conv_out}.weight", 4)[0],
        channels=channels,
        layers=len(levels[0]),
        depths=depths,
        mid_depth=mid_depth,
        context_width=weights.shape(f"{mid}.transformer_blocks.0.attn2.to_k.weight", 2)[1],
        heads=every_head,
        mid_heads=every_head[-1],
        linear_projection=len(weights.shapes.get(f"{mid}.proj_in.weight", ())) == 2,
        added_width=added[-1] if added else 0,
        noise_labels=weights.shape(labels, 2)[0] if labels in weights.shapes else 0,
        text_only=_text_only(weights, layout, levels),
    )


def _ldm_levels(weights: Weights) -> list[list[tuple[int, int]]]:
    """(width, transformer depth) of each layer, by level; the blocks of all levels are numbered in one sequence."""
    levels: list[list[tuple[int, int]]] = [[]]
    for block in range(1, weights.count("input_blocks")):
        if f"input_blocks.{block}.0.op" in weights.modules:
            levels.append([])
            continue
        width = weights.shape(f"input_blocks.{block}.0.out_layers.3.weight", 4)[0]
        levels[-1].append((width, weights.count(f"input_blocks.{block}.1.transformer_blocks")))
    return levels


def _diffusers_levels(weights: Weights) -> list[list[tuple[int, int]]]:
    blocks = [f"down_blocks.{level}" for level in range(weights.count("down_blocks"))]
    return [
        [
            (
                weights.shape(f"{block}.resnets.{layer}.conv2.weight", 4)[0],
                weights.count(f"{block}.attentions.{layer}.transformer_blocks"),
            )
            for layer in range(weights.count(f"{block}.resnets"))
        ]
        for block in blocks
    ]


def _text_only(weights: Weights, layout: Layout, levels: Sequence[Sequence[tuple[int, int]]]) -> tuple[bool, ...]:
    """Levels whose first attention is as wide as the text, not as the level; () if there are none.

    Where both are as wide, as in the lowest level of the x4 upscaler, it is taken to look at the picture.
    """
    found = []
    for level, layers in enumerate(levels):
        width, block = layers[0][0], f"input_blocks.{1 + level * (len(layers) + 1)}.1"
        attention = block if layout == "ldm" else f"down_blocks.{level}.attentions.0"
        source = weights.shapes.get(f"{attention}.transformer_blocks.0.attn1.to_k.weight")
        found.append(source is not None and source[-1] != width)
    return tuple(found) if any(found) else ()


def vae_spec(weights: Weights, layout: Layout, scale_factor: float) -> VAESpec:
    """The autoencoder's; ``scale_factor`` cannot be read from weights."""
    block, layer = ("down", "block") if layout == "ldm" else ("down_blocks", "resnets")
    count = weights.count(f"encoder.{block}")
    if not count:
        raise weights.unsupported("has no VAE encoder")
    conv = f"{layer}.0.conv1.weight"
    channels = tuple(weights.shape(f"encoder.{block}.{level}.{conv}", 4)[0] for level in range(count))
    _check_groups(weights, "VAE", channels)
    return VAESpec(
        latent_channels=weights.shape("decoder.conv_in.weight", 4)[1],
        channels=channels,
        layers=weights.count(f"encoder.{block}.0.{layer}"),
        scale_factor=scale_factor,
    )


def text_spec(weights: Weights, place: TextPlace, rules: Rules, activation: str, layers: int | None) -> TextSpec:
    """The CLIP text encoder's, under the names of OpenCLIP or transformers, these with or without "text_model.".

    layers: how many of its layers are used, where the file says so.
    """
    openclip = "transformer" in weights.modules
    model = "text_model." if "text_model" in weights.modules else ""
    table, positions, blocks, mlp = (
        ("token_embedding.weight", "positional_embedding", "transformer.resblocks", "mlp.c_fc")
        if openclip
        else (
            f"{model}embeddings.token_embedding.weight",
            f"{model}embeddings.position_embedding.weight",
            f"{model}encoder.layers",
            "mlp.fc1",
        )
    )
    vocabulary, width = weights.shape(table, 2)
    if width > HEAD_WIDTH and width % HEAD_WIDTH:
        raise weights.unsupported(f"has a text encoder {width} wide, which is no multiple of {HEAD_WIDTH}")
    return TextSpec(
        vocabulary=vocabulary,
        positions=weights.shape(positions, 2)[0],
        width=width,
        layers=layers or _used_layers(weights.count(blocks), width, openclip and not rules.penultimate),
        heads=max(1, width // HEAD_WIDTH),
        mlp_width=weights.shape(f"{blocks}.0.{mlp}.weight", 2)[0],
        activation="gelu" if activation == "gelu" else "quick_gelu",
        padding=0 if place.openclip else 49407,
        penultimate=rules.penultimate,
        projection=_projection(weights, openclip) if place.projection else 0,
    )


def _used_layers(layers: int, width: int, last_is_unused: bool) -> int:
    """SD2 reads its text encoder at the last layer but one; in LDM files the last is there nevertheless."""
    return layers - 1 if last_is_unused and (width, layers) != VIT_H else layers


def _projection(weights: Weights, openclip: bool) -> int:
    """The width of the pooled text; OpenCLIP's projection is stored transposed."""
    return weights.shape("text_projection", 2)[1] if openclip else weights.shape("text_projection.weight", 2)[0]


def _check_groups(weights: Weights, network: str, channels: Iterable[int]) -> None:
    for width in channels:
        if width == 0 or width % GROUPS:
            raise weights.unsupported(f"has a {network} level {width} channels wide, which is no multiple of {GROUPS}")


def _check_heads(weights: Weights, heads: Sequence[int], channels: Sequence[int], depths: Sequence[int]) -> None:
    if len(heads) != len(channels):
        raise weights.unsupported(f"states {len(heads)} numbers of attention heads for {len(channels)} levels")
    for head, width, depth in zip(heads, channels, depths, strict=True):
        if depth and width % head:
            raise weights.unsupported(f"has a U-Net level {width} channels wide, which {head} heads cannot share")
