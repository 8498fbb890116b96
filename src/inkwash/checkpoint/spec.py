"""What a model file is, read from its key names and shapes: widths, depths, family, prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Prediction = Literal["eps", "v", "x0"]
Layout = Literal["ldm", "diffusers"]


@dataclass(frozen=True)
class UNetSpec:
    """Cross-attention U-Net of arXiv:2112.10752.  One entry of ``channels`` and ``depths`` a level, outermost first."""

    in_channels: int  # 4; 9 for inpainting: 4 latents + 1 mask + 4 masked picture
    out_channels: int
    channels: tuple[int, ...]  # (320, 640, 1280, 1280)
    layers: int  # residual blocks a level on the way down; one more on the way up
    depths: tuple[int, ...]  # transformer blocks of each level's attention, 0 = none: (1, 1, 1, 0)
    mid_depth: int
    context_width: int  # 768
    heads: tuple[int, ...]  # attention heads of each level (8 for SD1; width/64 for SD2, XL)
    mid_heads: int
    linear_projection: bool  # proj_in/out are Linear (SD2, XL) rather than 1x1 convolutions (SD1)


@dataclass(frozen=True)
class VAESpec:
    """KL autoencoder of arXiv:2112.10752; picture side / latent side = 2 ** (len(channels) - 1)."""

    latent_channels: int
    channels: tuple[int, ...]  # (128, 256, 512, 512)
    layers: int  # residual blocks a level in the encoder; one more in the decoder
    scale_factor: float  # 0.18215 for SD1: U-Net latents = scale_factor * VAE latents


@dataclass(frozen=True)
class TextSpec:
    """CLIP text transformer, arXiv:2103.00020."""

    vocabulary: int  # 49408
    positions: int  # 77
    width: int
    layers: int
    heads: int  # width / 64
    mlp_width: int
    activation: Literal["quick_gelu", "gelu"]


@dataclass(frozen=True)
class ModelSpec:
    """Everything needed to build the networks of a checkpoint, and where each fact came from if it was a choice."""

    path: Path
    family: Literal["sd1"]
    layout: Layout
    prediction: Prediction
    unet: UNetSpec
    text: TextSpec
    vae: VAESpec
    dtype: str  # as stored, of most U-Net bytes: "float32", "float16", "bfloat16"
    has_ema: bool  # the file carries model_ema.* beside the plain weights
    native_size: int  # pixels a side the model was made for
    name: str  # file stem, or folder name
    note: str = ""  # what the maker of the file wants told to whoever draws with it
    notes: tuple[str, ...] = ()  # defaults that were assumed and could be wrong, in words
