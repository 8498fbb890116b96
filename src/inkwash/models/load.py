"""Files -> networks in memory, one tensor at a time, never holding the model twice."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from inkwash.checkpoint import FAMILIES, ModelSpec, detect, detect_vae, model_weights, parameters, vae_weights
from inkwash.checkpoint.files import open_source
from inkwash.checkpoint.spec import NoiseSpec, VAESpec
from inkwash.core.errors import DamagedFile, UnsupportedModel
from inkwash.diffusion.noise_schedule import NoiseSchedule
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.text import TextEncoder
from inkwash.models.unet import UNet
from inkwash.models.vae import VAE
from inkwash.runtime.attention import attention_for
from inkwash.runtime.device import Compute
from inkwash.runtime.packing import pack

Purpose = Literal["draw", "train"]


def load(
    path: Path,
    vae_path: Path | None,
    compute: Compute,
    purpose: Purpose = "draw",
    spec: ModelSpec | None = None,
    *,
    ema: bool = False,
) -> StableDiffusion:
    """Read a checkpoint file or diffusers folder.

    vae_path: a VAE file that takes the place of the checkpoint's own.  purpose: "draw" may pack the weights for speed;
    "train" keeps plain modules.  spec: what ``detect`` said of the file, if it was asked.  ema: the U-Net's EMA copy.
    Raises DamagedFile or UnsupportedModel, naming what is missing or misshapen; InvalidRequest without EMA weights.
    """
    spec = spec or detect(path)
    networks = skeleton(spec, spec.vae, compute)
    for_vae = dataclasses.replace(compute, dtype=vae_dtype(spec, compute.dtype))
    with open_source(path) as source:
        for name, weight in model_weights(source, spec, ema=ema):
            if not name.startswith("vae."):
                put(networks, name, weight, compute)
            elif vae_path is None:
                put(networks, name, weight, for_vae)
    if vae_path is not None:
        networks["vae"] = vae = load_vae(vae_path, for_vae)
        _check_factor(spec, vae, vae_path)
    _finish(networks, compute, purpose)
    return assembled(networks, spec, compute)


def skeleton(spec: ModelSpec, vae: VAESpec, compute: Compute) -> nn.ModuleDict:
    """The networks by their components' names, without weights.  vae: of a file of its own, perhaps."""
    attend = attention_for(compute.device)
    with torch.device("meta"):
        places = zip(FAMILIES[spec.family].texts, spec.texts, strict=True)
        texts: dict[str, nn.Module] = {place.component: TextEncoder(text) for place, text in places}
        return nn.ModuleDict({**texts, "unet": UNet(spec.unet, attend), "vae": VAE(vae, attend)})


def assembled(networks: nn.ModuleDict, spec: ModelSpec, compute: Compute) -> StableDiffusion:
    """The model of finished networks."""
    texts = tuple(cast(TextEncoder, networks[place.component]) for place in FAMILIES[spec.family].texts)
    unet, vae = cast(UNet, networks["unet"]), cast(VAE, networks["vae"])
    schedule, for_vae = noise_schedule(spec.noise), vae_dtype(spec, compute.dtype)
    low_res = noise_schedule(spec.low_res.noise) if spec.low_res else None
    return StableDiffusion(spec, texts, unet, vae, schedule, compute.device, compute.dtype, for_vae, low_res)


def _check_factor(spec: ModelSpec, vae: VAE, path: Path) -> None:
    """The x4 upscaler's latents are a quarter of the picture's side, all others' an eighth."""
    levels, own = len(vae.spec.channels), len(spec.vae.channels)
    if levels != own:
        message = f"{path} makes latents of 1/{2 ** (levels - 1)} of a picture's side, {spec.name} 1/{2 ** (own - 1)}."
        raise UnsupportedModel(message, "Leave the model its own VAE.")


def weights_size(spec: ModelSpec, compute: Compute) -> int:
    """Bytes of a model's weights as ``load`` keeps them, before packing."""
    names = parameters(spec)
    dtypes = {True: vae_dtype(spec, compute.dtype), False: compute.dtype}
    return sum(math.prod(shape) * dtypes[name.startswith("vae.")].itemsize for name, shape in names.items())


def noise_schedule(spec: NoiseSpec) -> NoiseSchedule:
    """The noise levels a model was trained on."""
    make = NoiseSchedule.linear if spec.kind == "linear" else NoiseSchedule.scaled_linear
    schedule = make(spec.start, spec.end, spec.steps)
    return schedule.zero_terminal_snr() if spec.zero_snr else schedule


def vae_dtype(spec: ModelSpec, dtype: torch.dtype) -> torch.dtype:
    """SDXL's autoencoder and the x4's overflow float16, so that pictures come out black; they compute in float32."""
    overflows = spec.family in ("sdxl", "sdxl-refiner", "x4")
    return torch.float32 if dtype is torch.float16 and overflows else dtype


def load_vae(path: Path, compute: Compute) -> VAE:
    """A VAE from a file of its own, unpacked."""
    spec = detect_vae(path)
    with torch.device("meta"):
        vae = VAE(spec, attention_for(compute.device))
    with open_source(path) as source:
        fill(vae, vae_weights(source, spec), compute)
    return vae


def fill(network: nn.Module, weights: Iterable[tuple[str, Tensor]], compute: Compute) -> None:
    """Give a network built on the meta device its weights, in the dtype and on the device of ``compute``.

    Raises DamagedFile for a weight that is not finite.
    """
    for name, weight in weights:
        put(network, name, weight, compute)


def put(network: nn.Module, name: str, weight: Tensor, compute: Compute) -> None:
    """``fill`` for one weight."""
    owner, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(owner), leaf, nn.Parameter(checked(name, placed(weight, compute))))


def checked(name: str, weight: Tensor) -> Tensor:
    """The weight.  Raises DamagedFile if it is not finite."""
    if not bool(weight.sum(dtype=torch.float32).isfinite()):  # one pass; a NaN or infinity survives any sum
        raise DamagedFile(
            f"The weight {name} holds numbers that are not finite (NaN or infinity).",
            "Every picture would come out black.  Download the model again, or use another version of it.",
        )
    return weight


def placed(weight: Tensor, compute: Compute) -> Tensor:
    """A copy of the file's tensor: the file must be free to change or vanish once the model is loaded."""
    layout = torch.channels_last if weight.ndim == 4 else torch.contiguous_format
    return weight.to(compute.device, compute.dtype, copy=True, memory_format=layout)


def _finish(networks: nn.ModuleDict, compute: Compute, purpose: Purpose) -> None:
    networks.train(purpose == "train")
    if purpose == "draw":
        networks.requires_grad_(False)
        unet = cast(UNet, networks["unet"])
        many = [networks.get_submodule(path) for path in with_many_pixels(len(unet.down_blocks), compute.dtype)]
        pack(networks, compute.device, compute.dtype, many)


def with_many_pixels(levels: int, dtype: torch.dtype) -> list[str]:
    """Where Winograd's convolutions pay: paths of a model with so many levels in its U-Net.

    In bfloat16 not in the autoencoder: its pictures would show the rounding.
    """
    down = [f"unet.down_blocks.{level}" for level in range(levels - 1)]
    up = [f"unet.up_blocks.{level}" for level in range(1, levels)]
    return [*down, *up, "vae"] if dtype == torch.float32 else [*down, *up]
