"""What a model file is, read from its key names and shapes: widths, depths, family, prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Prediction = Literal["eps", "v", "x0"]
Layout = Literal["ldm", "diffusers"]
Family = Literal["sd1", "sd2", "sdxl", "sdxl-refiner", "x4"]


@dataclass(frozen=True)
class UNetSpec:
    """Cross-attention U-Net of arXiv:2112.10752.  One entry of ``channels`` and ``depths`` a level, outermost first."""

    in_channels: int  # 4; 9 for inpainting: 4 latents + 1 mask + 4 masked picture; 5 with depth: 4 latents + 1 depth;
    # 7 for enlarging: 4 latents + 3 colours of the small picture
    out_channels: int
    channels: tuple[int, ...]  # (320, 640, 1280, 1280)
    layers: int  # residual blocks a level on the way down; one more on the way up
    depths: tuple[int, ...]  # transformer blocks of each level's attention, 0 = none: (1, 1, 1, 0)
    mid_depth: int
    context_width: int  # 768
    heads: tuple[int, ...]  # attention heads of each level (8 for SD1; width/64 for SD2, XL)
    mid_heads: int
    linear_projection: bool  # proj_in/out are Linear (SD2, XL) rather than 1x1 convolutions (SD1)
    added_width: int = 0  # of the vector that joins the time's: pooled text and picture sizes (XL); 0 = there is none
    noise_labels: int = 0  # levels of the small picture's noise that it knows apart, told beside the time (x4: 1000)
    text_only: tuple[bool, ...] = ()  # levels whose first attention, too, is to the text (x4); () = none


@dataclass(frozen=True)
class VAESpec:
    """KL autoencoder of arXiv:2112.10752; picture side / latent side = 2 ** (len(channels) - 1)."""

    latent_channels: int
    channels: tuple[int, ...]  # (128, 256, 512, 512)
    layers: int  # residual blocks a level in the encoder; one more in the decoder
    scale_factor: float  # 0.18215 for SD1: U-Net latents = scale_factor * VAE latents


@dataclass(frozen=True)
class TextSpec:
    """CLIP text transformer, arXiv:2103.00020, as the U-Net reads it."""

    vocabulary: int  # 49408
    positions: int  # 77
    width: int
    layers: int  # those that are used: of SD2's 24 the last never is
    heads: int  # width / 64
    mlp_width: int
    activation: Literal["quick_gelu", "gelu"]
    padding: int = 49407  # the token that fills a chunk up behind its end; OpenCLIP's is 0
    penultimate: bool = False  # what is read is the last layer but one, before the final norm (XL)
    projection: int = 0  # width of the pooled text; 0 = this encoder gives none


@dataclass(frozen=True)
class NoiseSpec:
    """The noise levels a model was trained on; see ``diffusion.noise_schedule``."""

    kind: Literal["scaled_linear", "linear"] = "scaled_linear"
    start: float = 0.00085
    end: float = 0.012
    steps: int = 1000
    zero_snr: bool = False  # the last level holds no picture at all, arXiv:2305.08891


@dataclass(frozen=True)
class LowResSpec:
    """What a model that enlarges is shown of the small picture: its pixels, noised to a level it is told.

    noise: in -1..1 pixels, the schedule of the noise laid over them.  highest_level: the last it was trained on.
    """

    noise: NoiseSpec = NoiseSpec(start=0.0001, end=0.02)
    highest_level: int = 350


@dataclass(frozen=True)
class ModelSpec:
    """Everything needed to build the networks of a checkpoint, and where each fact came from if it was a choice."""

    path: Path
    family: Family
    layout: Layout
    prediction: Prediction
    unet: UNetSpec
    texts: tuple[TextSpec, ...]  # the U-Net attends to their vectors side by side
    vae: VAESpec
    dtype: str  # as stored, of most U-Net bytes: "float32", "float16", "bfloat16"
    has_ema: bool  # the file carries model_ema.* beside the plain weights
    native_size: int  # pixels a side the model was made for
    name: str  # file stem, or folder name
    note: str = ""  # what the maker of the file wants told to whoever draws with it
    notes: tuple[str, ...] = ()  # defaults that were assumed and could be wrong, in words
    noise: NoiseSpec = NoiseSpec()
    unsure: bool = False  # nothing states the prediction type, and models of this shape come with either
    zero_empty: bool = False  # an empty negative prompt is a text of zeros (XL)
    few_steps: str = ""  # "Turbo", "LCM", "Lightning", ...: the distillation its metadata or name tells of
    depth_model: bool = False  # the file carries a depth estimator under depth_model.*
    low_res: LowResSpec | None = None  # of a model that enlarges pictures
