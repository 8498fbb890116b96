"""Does a file hold exactly the weights a specification asks for, and under which of their possible names?"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inkwash.checkpoint.families import FAMILIES
from inkwash.checkpoint.files import Source
from inkwash.checkpoint.header import Header, TensorInfo
from inkwash.checkpoint.keys import LDM_EMA, LDM_UNET, diffusers_to_ldm, ldm_shape, other_names, vae_to_ldm
from inkwash.checkpoint.openclip import cut
from inkwash.checkpoint.parameters import Shape, parameters, vae_parameters
from inkwash.checkpoint.spec import Layout, ModelSpec, VAESpec
from inkwash.core.errors import InvalidRequest

if TYPE_CHECKING:
    import torch

LONGEST_NAME = 256  # of an extra worth recognising
DEPTH_MODEL = "depth_model."  # SD2's depth-conditioned checkpoint carries the network that estimates depth
WEIGHT_DTYPES = ("F32", "F16", "BF16", "F64", "F8_E4M3", "F8_E5M2")

# What training leaves in checkpoints beside the weights: the noise schedule's tables, EMA copies, position numbers,
# the VAE's training loss, markers of the prediction type, the schedule of the noise over the x4 upscaler's pictures.
_IGNORABLE = re.compile(
    r"""(.*\.)?model_ema\.
    | (betas|alphas_cumprod|alphas_cumprod_prev|logvar|lvlb_weights|scale_factor|global_step|v_pred|ztsnr)$
    | (sqrt_|log_one_minus_|posterior_)\w+$ | denoiser\.sigmas$
    | .*\.(position_ids|attn_mask)$ | .*(text_projection|text_projection\.weight|logit_scale)$
    | (first_stage_model\.|vae\.)?loss\. | low_scale_model\.""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class KeyReport:
    """How a file's keys compare with a specification's.  ``missing`` and ``unexpected`` use the file's own layout."""

    found: Mapping[str, str]  # diffusers name -> key in the file, of each weight that is there and fits
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    ignored: tuple[str, ...]  # known extras that are no weights of the networks
    misfits: tuple[str, ...]  # right key, wrong shape or dtype, in words
    depth_model: tuple[str, ...] = ()  # the weights of a depth estimator, a network of its own

    @property
    def complete(self) -> bool:
        """Is every weight there, in its shape?"""
        return not self.missing and not self.misfits


def check_keys(spec: ModelSpec, header: Header) -> KeyReport:
    """Compares a checkpoint's header with its specification."""
    shapes = parameters(spec)
    names = diffusers_to_ldm(spec) if spec.layout == "ldm" else {name: name for name in shapes}
    return _report(names, shapes, header.tensors, _unused(spec))


def _unused(spec: ModelSpec) -> str:
    """The names of the layer of SD2's text encoder that nothing reads; "" if there is none."""
    rules = FAMILIES[spec.family]
    if not rules.unused_layer or spec.layout != "ldm":
        return ""
    return f"{rules.texts[0].prefix}transformer.resblocks.{spec.texts[0].layers}."


def check_vae_keys(spec: VAESpec, header: Header) -> KeyReport:
    """Compares the VAE in a file with its specification; names without prefix, ``found`` with the file's full keys."""
    prefix, layout = vae_layout(header)
    shapes = vae_parameters(spec)
    names = vae_to_ldm(spec) if layout == "ldm" else {name: name for name in shapes}
    tensors = {key: info for key, info in header.tensors.items() if key.startswith(prefix)}
    return _report({name: prefix + key for name, key in names.items()}, shapes, tensors)


def vae_layout(header: Header) -> tuple[str, Layout | None]:
    """(prefix of the VAE's keys, their layout); the layout is None if the file holds no VAE."""
    for prefix in ("first_stage_model.", "vae.", ""):
        if f"{prefix}decoder.up.0.block.0.conv1.weight" in header.tensors:
            return prefix, "ldm"
        if f"{prefix}decoder.up_blocks.0.resnets.0.conv1.weight" in header.tensors:
            return prefix, "diffusers"
    return "", None


def model_weights(source: Source, spec: ModelSpec, *, ema: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
    """Each weight of a model that ``check_keys`` calls complete: its diffusers name and the tensor in that shape.

    A tensor's memory is released when the next one is asked for: copy it first, and change no tensor in place.
    ema: the U-Net's EMA copies.  Raises InvalidRequest if there are none.
    """
    return _weights(source, _keys(source, spec, ema), parameters(spec))


def _keys(source: Source, spec: ModelSpec, ema: bool) -> Mapping[str, str]:
    """diffusers name -> the file's."""
    found = check_keys(spec, source.header).found
    if not ema:
        return found
    averaged = ema_names(spec, source.header.tensors, found.values(), "Draw without EMA weights.")
    return {name: averaged.get(key, key) for name, key in found.items()}


def ema_names(spec: ModelSpec, tensors: Container[str], keys: Iterable[str], remedy: str) -> dict[str, str]:
    """Plain name of each U-Net weight among ``keys`` -> that of its EMA copy.  Raises InvalidRequest if one has none.

    LDM writes the latter without dots: model_ema.diffusion_modelout0weight.
    """
    unet = [name for name in keys if name.startswith(LDM_UNET)]
    names = {name: LDM_EMA + name.removeprefix("model.").replace(".", "") for name in unet}
    missing = [name for name, key in names.items() if key not in tensors]
    if not names or missing:
        message = f"{spec.path.name} has no EMA weights" + (f" of {missing[0]}." if len(missing) < len(names) else ".")
        raise InvalidRequest(message, remedy)
    return names


class Weights:
    """Any weight of a file by its diffusers name, at any time, as ``model_weights`` yields them.

    vae: a file whose VAE takes the place of the model's own.  ema: the U-Net's EMA copies.
    """

    def __init__(
        self, source: Source, spec: ModelSpec, vae: tuple[Source, VAESpec] | None = None, *, ema: bool = False
    ) -> None:
        keys = _keys(source, spec, ema)
        self._places = {name: (source, key) for name, key in keys.items() if vae is None or not name.startswith("vae.")}
        if vae is not None:
            found = check_vae_keys(vae[1], vae[0].header).found
            self._places |= {f"vae.{name}": (vae[0], key) for name, key in found.items()}

    def read(self, name: str, shape: tuple[int, ...], convert: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """What ``convert``, which must copy, makes of the weight; the file's pages are let go of."""
        source, key = self._places[name]
        made = convert(cut(source.tensor(key), key, name).reshape(shape))
        source.release(key)
        return made


def vae_weights(source: Source, spec: VAESpec) -> Iterator[tuple[str, torch.Tensor]]:
    """Each weight of the VAE in ``source``; names without prefix."""
    return _weights(source, check_vae_keys(spec, source.header).found, vae_parameters(spec))


def _weights(
    source: Source, found: Mapping[str, str], shapes: Mapping[str, Shape]
) -> Iterator[tuple[str, torch.Tensor]]:
    for name, key in found.items():
        yield name, cut(source.tensor(key), key, name).reshape(shapes[name])
        source.release(key)


def _report(
    names: Mapping[str, str], shapes: Mapping[str, Shape], tensors: Mapping[str, TensorInfo], unused: str = ""
) -> KeyReport:
    found: dict[str, str] = {}
    misfits: dict[str, str] = {}
    missing = []
    for name, expected_key in names.items():
        key = next((key for key in (expected_key, *other_names(expected_key)) if key in tensors), None)
        if key is None:
            missing.append(expected_key)
        elif reason := _misfit(tensors[key], ldm_shape(key, shapes[name])):
            misfits[key] = f"{key} {reason}"
        else:
            found[name] = key
    extra = set(tensors) - set(found.values()) - set(misfits)
    depth_model = {key for key in extra if key.startswith(DEPTH_MODEL)}
    ignored = {key for key in extra - depth_model if _ignorable(key, unused)}
    unexpected = extra - depth_model - ignored
    return KeyReport(
        found,
        tuple(missing),
        unexpected=tuple(sorted(unexpected)),
        ignored=tuple(sorted(ignored)),
        misfits=tuple(misfits.values()),
        depth_model=tuple(sorted(depth_model)),
    )


def _ignorable(key: str, unused: str) -> bool:
    if len(key) > LONGEST_NAME:
        return False
    return bool(_IGNORABLE.match(key)) or bool(unused and key.startswith(unused))


def _misfit(info: TensorInfo, shape: Shape) -> str:
    """Why a tensor cannot be the weight of that ``shape``; "" if it can.  A 1x1 convolution is a linear layer."""
    if _squeezed(info.shape) != _squeezed(shape):
        return f"has the shape {list(info.shape)} instead of {list(shape)}"
    return "" if info.dtype in WEIGHT_DTYPES else f"has the dtype {info.dtype} instead of a floating-point one"


def _squeezed(shape: Shape) -> Shape:
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape
