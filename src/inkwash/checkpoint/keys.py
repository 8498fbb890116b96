"""The names of a model's weights in LDM files and in diffusers, both ways.

LDM is the layout of the single files of the original Stable Diffusion code: the U-Net under "model.diffusion_model.",
the VAE under "first_stage_model.", the text encoders where ``families`` says.  Names are computed from a specification:
only the names of modules are listed here, and the rest of a name is the same in both.
"""

from __future__ import annotations

from inkwash.checkpoint.families import FAMILIES, TextPlace
from inkwash.checkpoint.openclip import openclip_names, stored_shape
from inkwash.checkpoint.parameters import Shape, text_parameters, unet_parameters, vae_parameters
from inkwash.checkpoint.spec import ModelSpec, TextSpec, UNetSpec, VAESpec

LDM_UNET, LDM_VAE, LDM_EMA = "model.diffusion_model.", "first_stage_model.", "model_ema."

_UNET_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding": "label_emb",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_RESNET = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "conv_shortcut": "nin_shortcut"}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_OLD_VAE_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # diffusers < 0.12


def ldm_to_diffusers(spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """LDM name -> diffusers names of what it holds: one weight, or the q, k and v that OpenCLIP joins, in order."""
    held: dict[str, tuple[str, ...]] = {}
    for name, ldm in diffusers_to_ldm(spec).items():
        held[ldm] = (*held.get(ldm, ()), name)
    return held


def diffusers_to_ldm(spec: ModelSpec) -> dict[str, str]:
    """Diffusers name, with "unet.", "vae.", "text_encoder." or "text_encoder_2.", -> LDM name."""
    unet, vae = unet_modules(spec.unet), vae_modules(spec.vae)
    names = {f"unet.{name}": LDM_UNET + _translated(name, unet) for name in unet_parameters(spec.unet)}
    names |= {f"vae.{name}": LDM_VAE + _translated(name, vae) for name in vae_parameters(spec.vae)}
    for place, text in zip(FAMILIES[spec.family].texts, spec.texts, strict=True):
        names |= {f"{place.component}.{name}": place.prefix + ldm for name, ldm in _text_names(place, text).items()}
    return names


def _text_names(place: TextPlace, spec: TextSpec) -> dict[str, str]:
    return openclip_names(spec) if place.openclip else {name: name for name in text_parameters(spec)}


def vae_to_ldm(spec: VAESpec) -> dict[str, str]:
    """Diffusers name -> LDM name of a VAE's weights, both without prefix."""
    modules = vae_modules(spec)
    return {name: _translated(name, modules) for name in vae_parameters(spec)}


def unet_modules(spec: UNetSpec) -> dict[str, str]:
    """Diffusers module -> LDM module.  LDM numbers all blocks of the way down, and of the way up, in one sequence."""
    modules = dict(_UNET_ENDS)
    modules |= _within("mid_block.resnets.0", "middle_block.0", _UNET_RESNET)
    modules |= {"mid_block.attentions.0": "middle_block.1"}
    modules |= _within("mid_block.resnets.1", "middle_block.2", _UNET_RESNET)
    last = len(spec.channels) - 1
    block = 1
    for level in range(last + 1):
        for layer in range(spec.layers):
            modules |= _unet_layer(f"down_blocks.{level}", layer, f"input_blocks.{block}")
            block += 1
        if level < last:
            modules[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{block}.0.op"
            block += 1
    block = 0
    for up, depth in enumerate(reversed(spec.depths)):
        for layer in range(spec.layers + 1):
            modules |= _unet_layer(f"up_blocks.{up}", layer, f"output_blocks.{block}")
            block += 1
        if up < last:  # the upsampler stands behind the last layer of its level, in the same block
            modules[f"up_blocks.{up}.upsamplers.0.conv"] = f"output_blocks.{block - 1}.{2 if depth else 1}.conv"
    return modules


def vae_modules(spec: VAESpec) -> dict[str, str]:
    """Diffusers module -> LDM module.  LDM numbers the decoder's levels from the picture's side, diffusers reversed."""
    modules = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for side in ("encoder", "decoder"):
        modules |= {f"{side}.conv_in": f"{side}.conv_in", f"{side}.conv_out": f"{side}.conv_out"}
        modules[f"{side}.conv_norm_out"] = f"{side}.norm_out"
        modules |= _within(f"{side}.mid_block.resnets.0", f"{side}.mid.block_1", _VAE_RESNET)
        modules |= _within(f"{side}.mid_block.attentions.0", f"{side}.mid.attn_1", _VAE_ATTENTION)
        modules |= _within(f"{side}.mid_block.resnets.1", f"{side}.mid.block_2", _VAE_RESNET)
    last = len(spec.channels) - 1
    for level in range(last + 1):
        down, ldm_down = f"encoder.down_blocks.{level}", f"encoder.down.{level}"
        up, ldm_up = f"decoder.up_blocks.{level}", f"decoder.up.{last - level}"
        modules[f"{down}.downsamplers.0.conv"] = f"{ldm_down}.downsample.conv"
        modules[f"{up}.upsamplers.0.conv"] = f"{ldm_up}.upsample.conv"
        for layer in range(spec.layers):
            modules |= _within(f"{down}.resnets.{layer}", f"{ldm_down}.block.{layer}", _VAE_RESNET)
        for layer in range(spec.layers + 1):
            modules |= _within(f"{up}.resnets.{layer}", f"{ldm_up}.block.{layer}", _VAE_RESNET)
    return modules


def other_names(name: str) -> list[str]:
    """Names that other versions of the libraries give a weight, LDM or diffusers."""
    others = []
    if "text_model." in name:  # absent in early LDM files, and in what transformers 5 saves
        others.append(name.replace("text_model.", "", 1))
    if "mid_block.attentions.0." in name:
        head, _, tail = name.rpartition("attentions.0.")
        module, _, kind = tail.rpartition(".")
        if module in _OLD_VAE_ATTENTION:
            others.append(f"{head}attentions.0.{_OLD_VAE_ATTENTION[module]}.{kind}")
    return others


def ldm_shape(ldm_name: str, shape: Shape) -> Shape:
    """The shape in an LDM file of what holds a weight of ``shape``: there the VAE's attention is 1x1 convolutions."""
    return (*shape, 1, 1) if ".attn_1." in ldm_name and len(shape) == 2 else stored_shape(ldm_name, shape)


def _unet_layer(block: str, layer: int, ldm_block: str) -> dict[str, str]:
    resnet = _within(f"{block}.resnets.{layer}", f"{ldm_block}.0", _UNET_RESNET)
    return {**resnet, f"{block}.attentions.{layer}": f"{ldm_block}.1"}


def _within(module: str, ldm_module: str, names: dict[str, str]) -> dict[str, str]:
    return {f"{module}.{name}": f"{ldm_module}.{ldm}" for name, ldm in names.items()}


def _translated(name: str, modules: dict[str, str]) -> str:
    """``name`` with the longest module name it starts with replaced by that module's LDM name."""
    module = name
    while module not in modules:
        module = module.rpartition(".")[0]
        if not module:
            raise KeyError(name)
    return modules[module] + name[len(module) :]
