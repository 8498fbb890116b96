"""The parameters of each network: names and shapes, computed from its specification.

Names are those of diffusers' UNet2DConditionModel and AutoencoderKL and of the files of transformers' CLIPTextModel
and CLIPTextModelWithProjection.
"""

from __future__ import annotations

from itertools import pairwise

from inkwash.checkpoint.families import FAMILIES
from inkwash.checkpoint.spec import ModelSpec, TextSpec, UNetSpec, VAESpec

Shape = tuple[int, ...]
Shapes = dict[str, Shape]


def parameters(spec: ModelSpec) -> Shapes:
    """Every parameter of a model, under "unet.", "vae.", "text_encoder." and "text_encoder_2."."""
    shapes = _under("unet", unet_parameters(spec.unet)) | _under("vae", vae_parameters(spec.vae))
    for place, text in zip(FAMILIES[spec.family].texts, spec.texts, strict=True):
        shapes |= _under(place.component, text_parameters(text))
    return shapes


def unet_parameters(spec: UNetSpec) -> Shapes:
    """The U-Net's.  The way up takes, beside its own stream, each output of the way down once, last first."""
    channels, first = spec.channels, spec.channels[0]
    shapes = _conv("conv_in", spec.in_channels, first, 3)
    shapes |= _linear("time_embedding.linear_1", first, 4 * first)
    shapes |= _linear("time_embedding.linear_2", 4 * first, 4 * first)
    if spec.added_width:
        shapes |= _linear("add_embedding.linear_1", spec.added_width, 4 * first)
        shapes |= _linear("add_embedding.linear_2", 4 * first, 4 * first)
    if spec.noise_labels:
        shapes["class_embedding.weight"] = (spec.noise_labels, 4 * first)
    width, skips, last = first, [first], len(channels) - 1
    for level, depth in enumerate(spec.depths):
        for layer in range(spec.layers):
            text_only = reads_text_only(spec, level)
            shapes |= _unet_layer(f"down_blocks.{level}", layer, width, channels[level], depth, spec, text_only)
            width = channels[level]
            skips.append(width)
        if level < last:
            shapes |= _conv(f"down_blocks.{level}.downsamplers.0.conv", width, width, 3)
            skips.append(width)
    shapes |= _unet_layer("mid_block", 0, width, width, spec.mid_depth, spec)
    shapes |= _resnet("mid_block.resnets.1", width, width, 4 * first)
    for up, level in enumerate(reversed(range(len(channels)))):
        for layer in range(spec.layers + 1):
            width_in, depth, text_only = width + skips.pop(), spec.depths[level], reads_text_only(spec, level)
            shapes |= _unet_layer(f"up_blocks.{up}", layer, width_in, channels[level], depth, spec, text_only)
            width = channels[level]
        if level > 0:
            shapes |= _conv(f"up_blocks.{up}.upsamplers.0.conv", width, width, 3)
    return shapes | _norm("conv_norm_out", width) | _conv("conv_out", width, spec.out_channels, 3)


def reads_text_only(spec: UNetSpec, level: int) -> bool:
    """Whether no attention of this level looks at the picture itself."""
    return bool(spec.text_only) and spec.text_only[level]


def vae_parameters(spec: VAESpec) -> Shapes:
    """Encoder and decoder of pictures with 3 channels, and the 1x1 convolutions around the latents."""
    channels, z = spec.channels, spec.latent_channels
    shapes = _conv("encoder.conv_in", 3, channels[0], 3)
    for level, (before, width) in enumerate(pairwise((channels[0], *channels))):
        for layer in range(spec.layers):
            shapes |= _resnet(f"encoder.down_blocks.{level}.resnets.{layer}", width if layer else before, width)
        if level < len(channels) - 1:
            shapes |= _conv(f"encoder.down_blocks.{level}.downsamplers.0.conv", width, width, 3)
    shapes |= _vae_ends("encoder", channels[-1], channels[-1], 2 * z)
    shapes |= _conv("quant_conv", 2 * z, 2 * z, 1) | _conv("post_quant_conv", z, z, 1)
    shapes |= _conv("decoder.conv_in", z, channels[-1], 3)
    upward = channels[::-1]
    for level, (before, width) in enumerate(pairwise((upward[0], *upward))):
        for layer in range(spec.layers + 1):
            shapes |= _resnet(f"decoder.up_blocks.{level}.resnets.{layer}", width if layer else before, width)
        if level < len(channels) - 1:
            shapes |= _conv(f"decoder.up_blocks.{level}.upsamplers.0.conv", width, width, 3)
    return shapes | _vae_ends("decoder", channels[-1], channels[0], 3)


def text_parameters(spec: TextSpec) -> Shapes:
    """The text encoder's.  The token and position tables have no bias."""
    width = spec.width
    shapes: Shapes = {
        "text_model.embeddings.token_embedding.weight": (spec.vocabulary, width),
        "text_model.embeddings.position_embedding.weight": (spec.positions, width),
    }
    for layer in range(spec.layers):
        block = f"text_model.encoder.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _linear(f"{block}.self_attn.{name}", width, width)
        shapes |= _linear(f"{block}.mlp.fc1", width, spec.mlp_width) | _linear(
            f"{block}.mlp.fc2", spec.mlp_width, width
        )
        shapes |= _norm(f"{block}.layer_norm1", width) | _norm(f"{block}.layer_norm2", width)
    shapes |= _norm("text_model.final_layer_norm", width)
    return shapes | {"text_projection.weight": (spec.projection, width)} if spec.projection else shapes


def _unet_layer(
    block: str, layer: int, width_in: int, width: int, depth: int, spec: UNetSpec, text_only: bool = False
) -> Shapes:
    """One residual block and, where ``depth`` > 0, the transformer after it."""
    shapes = _resnet(f"{block}.resnets.{layer}", width_in, width, 4 * spec.channels[0])
    return shapes | _transformer(f"{block}.attentions.{layer}", width, depth, spec, text_only) if depth else shapes


def _resnet(name: str, width_in: int, width: int, time_width: int = 0) -> Shapes:
    shapes = _norm(f"{name}.norm1", width_in) | _conv(f"{name}.conv1", width_in, width, 3)
    if time_width:
        shapes |= _linear(f"{name}.time_emb_proj", time_width, width)
    shapes |= _norm(f"{name}.norm2", width) | _conv(f"{name}.conv2", width, width, 3)
    return shapes if width_in == width else shapes | _conv(f"{name}.conv_shortcut", width_in, width, 1)


def _transformer(name: str, width: int, depth: int, spec: UNetSpec, text_only: bool) -> Shapes:
    """Self-attention, cross-attention, gated feed-forward of factor 4 (8 with the gates), ``depth`` times.

    text_only: the first attention is to the text as well.
    """
    shapes = _norm(f"{name}.norm", width)
    for projection in ("proj_in", "proj_out"):
        size = _linear if spec.linear_projection else _conv1x1
        shapes |= size(f"{name}.{projection}", width, width)
    for index in range(depth):
        block = f"{name}.transformer_blocks.{index}"
        for attention, source in (("attn1", spec.context_width if text_only else width), ("attn2", spec.context_width)):
            shapes[f"{block}.{attention}.to_q.weight"] = (width, width)
            shapes[f"{block}.{attention}.to_k.weight"] = (width, source)
            shapes[f"{block}.{attention}.to_v.weight"] = (width, source)
            shapes |= _linear(f"{block}.{attention}.to_out.0", width, width)
        shapes |= _linear(f"{block}.ff.net.0.proj", width, 8 * width) | _linear(f"{block}.ff.net.2", 4 * width, width)
        for norm in ("norm1", "norm2", "norm3"):
            shapes |= _norm(f"{block}.{norm}", width)
    return shapes


def _vae_ends(side: str, mid: int, width: int, out: int) -> Shapes:
    """The middle and the output of one side of the VAE."""
    shapes = _resnet(f"{side}.mid_block.resnets.0", mid, mid) | _resnet(f"{side}.mid_block.resnets.1", mid, mid)
    attention = f"{side}.mid_block.attentions.0"
    shapes |= _norm(f"{attention}.group_norm", mid)
    for name in ("to_q", "to_k", "to_v", "to_out.0"):
        shapes |= _linear(f"{attention}.{name}", mid, mid)
    return shapes | _norm(f"{side}.conv_norm_out", width) | _conv(f"{side}.conv_out", width, out, 3)


def _conv(name: str, width_in: int, width: int, kernel: int) -> Shapes:
    return {f"{name}.weight": (width, width_in, kernel, kernel), f"{name}.bias": (width,)}


def _conv1x1(name: str, width_in: int, width: int) -> Shapes:
    return _conv(name, width_in, width, 1)


def _linear(name: str, width_in: int, width: int) -> Shapes:
    return {f"{name}.weight": (width, width_in), f"{name}.bias": (width,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _under(prefix: str, shapes: Shapes) -> Shapes:
    return {f"{prefix}.{name}": shape for name, shape in shapes.items()}
