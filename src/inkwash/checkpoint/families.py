"""The families of Stable Diffusion: how their files are told apart, and what shapes cannot tell of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from inkwash.checkpoint.header import Header
from inkwash.checkpoint.spec import Family, Layout, NoiseSpec

USUAL_NOISE = NoiseSpec()
NUMBER_WIDTH = 256  # sinusoids of each number that XL is told of a picture
Number = Literal["height", "width", "top", "left", "target height", "target width", "score"]


@dataclass(frozen=True)
class TextPlace:
    """Where one text encoder stands in files, and whose it is."""

    component: str  # its folder in a diffusers pipeline
    prefix: str  # of its weights in LDM files
    openclip: bool = False  # OpenCLIP's training: gelu, padding 0, and names of its own in LDM files
    projection: bool = False  # gives the pooled text


@dataclass(frozen=True)
class Rules:
    """Facts of one family."""

    title: str
    texts: tuple[TextPlace, ...]  # in the order in which the U-Net sees their vectors
    native_size: int  # pixels
    heads: int | None = None  # attention heads of every U-Net level; None: as many as give each 64 channels
    scale_factor: float = 0.18215  # U-Net latents = this * VAE latents
    penultimate: bool = False  # texts are read at the last layer but one, before the final norm
    numbers: tuple[Number, ...] = ()  # told to the U-Net after the pooled text
    noise: NoiseSpec = USUAL_NOISE  # where nothing states it
    unused_layer: bool = False  # LDM files carry a last layer of the text encoder that nothing reads


_BIG_G = "conditioner.embedders.{}.model."

FAMILIES: dict[Family, Rules] = {
    "sd1": Rules(
        "Stable Diffusion 1.x", (TextPlace("text_encoder", "cond_stage_model.transformer."),), native_size=512, heads=8
    ),
    "sd2": Rules(
        "Stable Diffusion 2.x",
        (TextPlace("text_encoder", "cond_stage_model.model.", openclip=True),),
        native_size=768,
        unused_layer=True,
    ),
    "sdxl": Rules(
        "Stable Diffusion XL",
        (
            TextPlace("text_encoder", "conditioner.embedders.0.transformer."),
            TextPlace("text_encoder_2", _BIG_G.format(1), openclip=True, projection=True),
        ),
        native_size=1024,
        scale_factor=0.13025,
        penultimate=True,
        numbers=("height", "width", "top", "left", "target height", "target width"),
    ),
    "sdxl-refiner": Rules(
        "Stable Diffusion XL refiner",
        (TextPlace("text_encoder_2", _BIG_G.format(0), openclip=True, projection=True),),
        native_size=1024,
        scale_factor=0.13025,
        penultimate=True,
        numbers=("height", "width", "top", "left", "score"),
    ),
    "x4": Rules(
        "Stable Diffusion x4 upscaler",
        (TextPlace("text_encoder", "cond_stage_model.model.", openclip=True),),
        native_size=512,
        heads=8,
        scale_factor=0.08333,
        noise=NoiseSpec(start=0.0001, end=0.02),
        unused_layer=True,
    ),
}

_NOISE_LABELS = {"ldm": "model.diffusion_model.label_emb.weight", "diffusers": "unet.class_embedding.weight"}
_LDM_ORDER: tuple[Family, ...] = ("sdxl", "sdxl-refiner", "sd2")  # the first whose last encoder is there


def family_of(header: Header, layout: Layout) -> Family:
    """The family by its text encoders; in diffusers folders SD 2.x is told from 1.x by its linear projections.

    The x4 upscaler has SD 2.x's and a table of noise levels beside it.
    """
    if _NOISE_LABELS[layout] in header.tensors:
        return "x4"
    if layout == "ldm":
        there = (family for family in _LDM_ORDER if _starts(header.tensors, FAMILIES[family].texts[-1].prefix))
        return next(there, "sd1")
    if _starts(header.tensors, "text_encoder_2."):
        return "sdxl" if _starts(header.tensors, "text_encoder.") else "sdxl-refiner"
    projection = header.tensors.get("unet.mid_block.attentions.0.proj_in.weight")
    return "sd2" if projection is not None and len(projection.shape) == 2 else "sd1"


def _starts(names: Iterable[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)
