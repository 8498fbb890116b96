"""Writing models in the LDM single-file layout that every Stable Diffusion program reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from inkwash.checkpoint.facts import usual_size
from inkwash.checkpoint.families import FAMILIES
from inkwash.checkpoint.keys import ldm_shape, ldm_to_diffusers
from inkwash.checkpoint.networks import HEAD_WIDTH
from inkwash.checkpoint.openclip import join
from inkwash.checkpoint.plan import Plan, cast
from inkwash.checkpoint.spec import LowResSpec, ModelSpec
from inkwash.checkpoint.weights import check_exact, held_weights

if TYPE_CHECKING:
    import torch

    from inkwash.checkpoint.parameters import Shape

PREDICTION_WORDS = {"eps": "epsilon", "v": "v", "x0": "sample"}


def save_ldm(
    path: str | Path, tensors: Mapping[str, torch.Tensor], spec: ModelSpec, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors in memory as one LDM .safetensors file, whole or not at all.

    tensors: by diffusers name, with "unet.", "vae.", "text_encoder." or "text_encoder_2.", in their stored dtypes;
    exactly the weights of ``spec``, else ValueError.
    """
    ldm_file(held_weights(tensors, metadata), spec).write(Path(path))


def ldm_file(weights: Plan, spec: ModelSpec) -> Plan:
    """The plan of a model's LDM file.  ValueError unless ``weights`` are exactly those of ``spec``.

    What shapes cannot tell of ``spec`` goes into the metadata unless it is given there, and into the empty marker
    tensors that other programs look for.
    """
    check_exact(weights, spec)
    names = ldm_to_diffusers(spec)
    tensors = {ldm: _layout(ldm, [weights.tensors[name] for name in held]) for ldm, held in names.items()}
    tensors |= dict.fromkeys(_markers(spec), ("F32", (0,)))

    def make(ldm: str) -> torch.Tensor:
        return _tensor(ldm, names.get(ldm, ()), weights, *tensors[ldm])

    return Plan(tensors, make, _described(spec) | dict(weights.metadata), weights.dropped, _untold(spec))


def _tensor(ldm: str, names: Sequence[str], weights: Plan, kind: str, shape: Shape) -> torch.Tensor:
    import torch

    if not names:
        return torch.empty(shape)
    if len(names) == 1:
        return join(ldm, [weights.make(names[0])]).reshape(shape)
    copies = [cast(name, weights.make(name), kind).clone() for name in names]  # reading one lets go of the last's pages
    return join(ldm, copies).reshape(shape)


def _layout(ldm: str, held: Sequence[tuple[str, Shape]]) -> tuple[str, Shape]:
    """dtype and shape of the tensor ``ldm`` out of those of the weights it holds."""
    kinds = {kind for kind, _ in held}
    return kinds.pop() if len(kinds) == 1 else "F32", ldm_shape(ldm, held[0][1])


def _described(spec: ModelSpec) -> dict[str, str]:
    """What ``detect`` would not assume."""
    unet, rules = spec.unet, FAMILIES[spec.family]
    described = {"modelspec.prediction_type": PREDICTION_WORDS[spec.prediction]}
    if rules.unused_layer:
        described["inkwash.text_layers"] = str(spec.texts[0].layers)  # the unused last layer is not written
    if unet.heads != tuple(rules.heads or max(1, width // HEAD_WIDTH) for width in unet.channels):
        described["inkwash.heads"] = ",".join(map(str, unet.heads))
    if spec.vae.scale_factor != rules.scale_factor:
        described["inkwash.scale_factor"] = repr(spec.vae.scale_factor)
    if spec.native_size != usual_size(spec.family, spec.prediction):
        described["modelspec.resolution"] = f"{spec.native_size}x{spec.native_size}"
    return described


def _markers(spec: ModelSpec) -> tuple[str, ...]:
    velocity = spec.family == "sdxl" and spec.prediction == "v"
    return ("v_pred",) * velocity + ("ztsnr",) * spec.noise.zero_snr


def _untold(spec: ModelSpec) -> tuple[str, ...]:
    """What no single file can state, in words."""
    notes = []
    if (noise := replace(spec.noise, zero_snr=False)) != FAMILIES[spec.family].noise:
        levels = f"{noise.kind}, {noise.start:g} to {noise.end:g}, {noise.steps} steps"
        notes.append(f"the model's noise levels ({levels}) are not the usual ones, and a single file cannot state them")
    if spec.low_res not in (None, LowResSpec()):
        notes.append("the noise over the small picture is not the usual one, and a single file cannot state that")
    for place, text in zip(FAMILIES[spec.family].texts, spec.texts, strict=True):
        if text.activation != ("gelu" if place.openclip else "quick_gelu"):
            notes.append(f"{place.component} has the activation {text.activation}, which a single file cannot state")
    return tuple(notes)
