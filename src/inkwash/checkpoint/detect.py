"""From a file to what it is, by its header alone: family, sizes, prediction.  No tensor data is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from inkwash.checkpoint import facts
from inkwash.checkpoint.families import FAMILIES, NUMBER_WIDTH, family_of
from inkwash.checkpoint.files import TORCH_NAMES, read_header
from inkwash.checkpoint.foreign import other_family, refuse_foreign
from inkwash.checkpoint.header import Header
from inkwash.checkpoint.keys import LDM_UNET, LDM_VAE
from inkwash.checkpoint.match import DEPTH_MODEL, KeyReport, check_keys, check_vae_keys, vae_layout
from inkwash.checkpoint.networks import Weights, text_spec, unet_spec, vae_spec
from inkwash.checkpoint.regular import damaged
from inkwash.checkpoint.spec import Family, Layout, ModelSpec, Prediction, TextSpec, VAESpec
from inkwash.core.errors import UnsupportedModel

IN_CHANNELS = (4, 5, 9)  # text to picture; with depth; inpainting
ENLARGING_CHANNELS = 7  # latents and the colours of the small picture
LATENT_CHANNELS = 4


def detect(path: str | Path, *, prediction: Prediction | None = None) -> ModelSpec:
    """What the checkpoint at ``path``, a .safetensors file or a diffusers folder, is.

    ``prediction`` overrides what the file says or leaves open.  Raises UnsupportedModel, saying what the file is, if it
    is no checkpoint of Stable Diffusion 1.x, 2.x, XL or its x4 upscaler; DamagedFile if it is broken, lacks weights or
    has them in wrong shapes.
    """
    return detect_header(read_header(path), prediction=prediction)


def detect_header(header: Header, *, prediction: Prediction | None = None) -> ModelSpec:
    """``detect`` for a header that was read already."""
    refuse_foreign(header)
    layout: Layout = "ldm" if any(name.startswith(LDM_UNET) for name in header.tensors) else "diffusers"
    family = family_of(header, layout)
    unet_prefix, vae_prefix = (LDM_UNET, LDM_VAE) if layout == "ldm" else ("unet.", "vae.")
    unet = unet_spec(Weights(header.path, unet_prefix, header.tensors), layout, facts.heads(header, family))
    vae = vae_spec(Weights(header.path, vae_prefix, header.tensors), layout, facts.scale_factor(header, family))
    predicted = facts.prediction(header, prediction, family, unet.in_channels)
    spec = ModelSpec(
        path=header.path,
        family=family,
        layout=layout,
        prediction=predicted.value,
        unet=unet,
        texts=_texts(header, family, layout),
        vae=vae,
        dtype=_main_dtype(header, unet_prefix),
        has_ema=any(name.startswith("model_ema.diffusion_model") for name in header.tensors),
        native_size=facts.native_size(header, 2 ** (len(vae.channels) - 1), family, predicted.value),
        name=header.path.name if header.path.is_dir() else header.path.stem,
        note=facts.own_note(header),
        notes=tuple(predicted.notes),
        noise=facts.noise(header, family),
        unsure=predicted.unsure,
        zero_empty=facts.zero_empty(header, family),
        few_steps=facts.few_steps(header),
        depth_model=any(name.startswith(DEPTH_MODEL) for name in header.tensors),
        low_res=facts.low_res(header, unet.noise_labels),
    )
    _check_sizes(header, spec)
    report = check_keys(spec, header)
    _check_complete(header, report)
    return replace(spec, notes=(*predicted.notes, *_unexpected(report)))


def _texts(header: Header, family: Family, layout: Layout) -> tuple[TextSpec, ...]:
    rules = FAMILIES[family]
    return tuple(
        text_spec(
            Weights(header.path, place.prefix if layout == "ldm" else f"{place.component}.", header.tensors),
            place,
            rules,
            facts.activation(header, place.component, place.openclip),
            facts.text_layers(header) if rules.unused_layer else None,
        )
        for place in rules.texts
    )


def detect_vae(path: str | Path) -> VAESpec:
    """The VAE in a file of its own (LDM or diffusers names, prefixed or not), in a folder or in a whole checkpoint."""
    header = read_header(path)
    prefix, layout = vae_layout(header)
    if layout is None:
        raise UnsupportedModel(f"{path} holds no VAE.", "Choose a file from models/VAE.")
    spec = vae_spec(Weights(header.path, prefix, header.tensors), layout, facts.scale_factor(header, "sd1"))
    if spec.latent_channels != LATENT_CHANNELS:
        message = (
            f"{path} is a VAE with {spec.latent_channels} latent channels; Stable Diffusion has {LATENT_CHANNELS}."
        )
        raise UnsupportedModel(message, "Choose a VAE made for Stable Diffusion 1.x, 2.x or XL.")
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
    """Raises UnsupportedModel if the networks do not make a Stable Diffusion model together."""
    unet, vae = spec.unet, spec.vae
    if unet.in_channels == 8:
        raise other_family(header, "an InstructPix2Pix model (8 input channels)")
    expected = (ENLARGING_CHANNELS,) if spec.low_res else IN_CHANNELS
    if unet.in_channels not in expected or unet.out_channels != LATENT_CHANNELS:
        raise other_family(header, f"a model with {unet.in_channels} input and {unet.out_channels} output channels")
    if vae.latent_channels != LATENT_CHANNELS:
        raise other_family(header, f"a model whose VAE has {vae.latent_channels} latent channels")
    width, numbers = sum(text.width for text in spec.texts), unet.added_width - sum(t.projection for t in spec.texts)
    if unet.context_width != width:
        found = f"its U-Net expects texts {unet.context_width} wide, its text encoder gives {width}"
        raise other_family(header, f"a mixture ({found})")
    if numbers != NUMBER_WIDTH * len(FAMILIES[spec.family].numbers):
        found = f"its U-Net expects {unet.added_width} numbers of pooled text and sizes"
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
