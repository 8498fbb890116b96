"""From a file to what it is, by its header alone: family, sizes, prediction.  No tensor data is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from inkwash.checkpoint import facts
from inkwash.checkpoint.families import check_family, other_family, sd2
from inkwash.checkpoint.files import TORCH_NAMES, read_header
from inkwash.checkpoint.header import Header
from inkwash.checkpoint.keys import LDM_TEXT, LDM_UNET, LDM_VAE
from inkwash.checkpoint.match import KeyReport, check_keys, check_vae_keys, vae_layout
from inkwash.checkpoint.networks import Weights, text_spec, unet_spec, vae_spec
from inkwash.checkpoint.regular import damaged
from inkwash.checkpoint.spec import Layout, ModelSpec, Prediction, VAESpec
from inkwash.core.errors import UnsupportedModel

IN_CHANNELS = (4, 5, 9)  # text to picture; over a depth map; inpainting
LATENT_CHANNELS = 4


def detect(path: str | Path, *, prediction: Prediction | None = None) -> ModelSpec:
    """What the checkpoint at ``path``, a .safetensors file or a diffusers folder, is.

    ``prediction`` overrides what the file says or leaves open.  Raises UnsupportedModel, saying what the file is, if it
    is no SD 1.x checkpoint; DamagedFile if it is broken, lacks weights or has them in wrong shapes.
    """
    return detect_header(read_header(path), prediction=prediction)


def detect_header(header: Header, *, prediction: Prediction | None = None) -> ModelSpec:
    """``detect`` for a header that was read already."""
    check_family(header)
    layout: Layout = "ldm" if any(name.startswith(LDM_UNET) for name in header.tensors) else "diffusers"
    unet_prefix, vae_prefix, text_prefix = (
        (LDM_UNET, LDM_VAE, LDM_TEXT) if layout == "ldm" else ("unet.", "vae.", "text_encoder.")
    )
    unet = unet_spec(Weights(header.path, unet_prefix, header.tensors), layout, facts.heads(header))
    text = text_spec(Weights(header.path, text_prefix, header.tensors))
    vae = vae_spec(Weights(header.path, vae_prefix, header.tensors), layout, facts.scale_factor(header))
    predicted, notes = facts.prediction(header, prediction)
    spec = ModelSpec(
        path=header.path,
        family="sd1",
        layout=layout,
        prediction=predicted,
        unet=unet,
        text=text,
        vae=vae,
        dtype=_main_dtype(header, unet_prefix),
        has_ema=any(name.startswith("model_ema.diffusion_model") for name in header.tensors),
        native_size=facts.native_size(header, 2 ** (len(vae.channels) - 1)),
        name=header.path.name if header.path.is_dir() else header.path.stem,
        note=facts.own_note(header),
        notes=tuple(notes),
    )
    _check_sizes(header, spec)
    report = check_keys(spec, header)
    _check_complete(header, report)
    return replace(spec, notes=(*notes, *_unexpected(report)))


def detect_vae(path: str | Path) -> VAESpec:
    """The VAE in a file of its own (LDM or diffusers names, prefixed or not), in a folder or in a whole checkpoint."""
    header = read_header(path)
    prefix, layout = vae_layout(header)
    if layout is None:
        raise UnsupportedModel(f"{path} holds no VAE.", "Choose a file from models/VAE.")
    spec = vae_spec(Weights(header.path, prefix, header.tensors), layout, facts.scale_factor(header))
    if spec.latent_channels != LATENT_CHANNELS:
        message = (
            f"{path} is a VAE with {spec.latent_channels} latent channels; Stable Diffusion 1.x has {LATENT_CHANNELS}."
        )
        raise UnsupportedModel(message, "Choose a VAE made for Stable Diffusion 1.x.")
    _check_complete(header, check_vae_keys(spec, header))
    return spec


def _main_dtype(header: Header, prefix: str) -> str:
    """The dtype of most bytes under ``prefix``, as PyTorch calls it."""
    amounts: Counter[str] = Counter()
    for name, info in header.tensors.items():
        if name.startswith(prefix):
            amounts[info.dtype] += info.nbytes
    [(dtype, _)] = amounts.most_common(1)
    return TORCH_NAMES.get(dtype, dtype)


def _check_sizes(header: Header, spec: ModelSpec) -> None:
    """Raises UnsupportedModel if the three networks do not make a Stable Diffusion 1.x model together."""
    unet, text, vae = spec.unet, spec.text, spec.vae
    if sd2(unet.context_width, text.width, text.layers):
        raise other_family(header, "a Stable Diffusion 2.x model")
    if unet.in_channels == 8:
        raise other_family(header, "an InstructPix2Pix model (8 input channels)")
    if unet.in_channels not in IN_CHANNELS or unet.out_channels != LATENT_CHANNELS:
        raise other_family(header, f"a model with {unet.in_channels} input and {unet.out_channels} output channels")
    if vae.latent_channels != LATENT_CHANNELS:
        raise other_family(header, f"a model whose VAE has {vae.latent_channels} latent channels")
    if unet.context_width != text.width:
        found = f"its U-Net expects texts {unet.context_width} wide, its text encoder gives {text.width}"
        raise other_family(header, f"a mixture ({found})")


def _unexpected(report: KeyReport) -> list[str]:
    if not report.unexpected:
        return []
    more = ", ..." if len(report.unexpected) > 3 else ""
    names = ", ".join(key[:80] for key in report.unexpected[:3])
    return [f"{len(report.unexpected)} tensors belong to none of the networks and are not used: {names}{more}"]


def _check_complete(header: Header, report: KeyReport) -> None:
    reasons = []
    if report.missing:
        reasons.append(f"{len(report.missing)} weights are missing, such as {report.missing[0]}")
    if report.misfits:
        reasons.append(f"{len(report.misfits)} weights do not fit: {report.misfits[0]}")
    if reasons:
        raise damaged(header.path, "; ".join(reasons))
