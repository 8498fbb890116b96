"""Models whose weights are not all in memory at once: by the policies of ``absent``."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from inkwash.checkpoint import ModelSpec, VAESpec, Weights, detect, detect_vae, model_weights, parameters, vae_weights
from inkwash.checkpoint.files import Source, open_source
from inkwash.models.absent import Fetch, Passing, Seat, absent
from inkwash.models.load import assembled, checked, load, placed, put, skeleton, vae_dtype, with_many_pixels
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.runtime.device import Compute
from inkwash.runtime.packing import pack

Policy = Literal["resident", "swapped", "sequential"]
POLICIES: tuple[Policy, ...] = ("resident", "swapped", "sequential")
"""From the fastest to the one that takes least memory."""


def load_by(
    policy: Policy, path: Path, vae_path: Path | None, compute: Compute, spec: ModelSpec | None = None,
    home: Literal["file", "memory"] | None = None, *, ema: bool = False,
) -> StableDiffusion:  # fmt: skip
    """``models.load.load``, with as much of the weights in memory as the policy wants; pictures are the same.

    home: where the others wait.  "file": mapped, which must stay as it is meanwhile; "memory": the machine's, for
    devices with memory of their own.  None: as the device is.
    """
    if policy == "resident":
        return load(path, vae_path, compute, spec=spec, ema=ema)
    spec = spec or detect(path)
    vae_spec = spec.vae if vae_path is None else detect_vae(vae_path)
    networks = skeleton(spec, vae_spec, compute).eval()
    from_file = home == "file" or (home is None and compute.device.type == "cpu")
    sources = open_source(path), None if vae_path is None else (open_source(vae_path), vae_spec)
    fetch = _mapped(spec, *sources, compute, ema) if from_file else _kept(networks, spec, *sources, compute, ema)
    place = Seat() if policy == "swapped" else Passing()
    many = tuple(f"{path}." for path in with_many_pixels(len(spec.unet.channels), compute.dtype))

    def finish(holder: nn.ModuleList, path: str) -> None:
        pack(holder, compute.device, _dtype(path, spec, compute), [holder] if path.startswith(many) else [])

    for name, network in networks.items():
        absent(network, name, place, fetch, finish)
    return assembled(networks, spec, compute)


def held_size(policy: Policy, spec: ModelSpec, compute: Compute) -> int:
    """Bytes of weights that are in memory at once, before packing: all, the largest network's, the largest block's."""
    sizes: Counter[tuple[str, ...]] = Counter()
    for name, shape in parameters(spec).items():
        block = 2 if name.startswith("vae.") else 3 if ".embeddings." in name else 5  # depth of what ``absent`` moves
        depth = {"resident": 0, "swapped": 1, "sequential": block}[policy]
        sizes[tuple(name.split(".")[:depth])] += math.prod(shape) * _dtype(name, spec, compute).itemsize
    return max(sizes.values())


def _mapped(
    spec: ModelSpec, source: Source, vae: tuple[Source, VAESpec] | None, compute: Compute, ema: bool
) -> Fetch:  # fmt: skip
    """Weights from the file; each is looked at once whether it is sound."""
    weights, sound = Weights(source, spec, vae, ema=ema), set[str]()

    def fetch(name: str, held: Tensor) -> Tensor:
        here = dataclasses.replace(compute, dtype=_dtype(name, spec, compute))
        weight = weights.read(name, tuple(held.shape), lambda weight: placed(weight, here))
        if name not in sound:
            checked(name, weight)
            sound.add(name)
        return weight

    return fetch


def _kept(
    networks: nn.ModuleDict, spec: ModelSpec, source: Source, vae: tuple[Source, VAESpec] | None, compute: Compute,
    ema: bool,
) -> Fetch:  # fmt: skip
    """Weights from the machine's memory, where they are put now."""
    beside = dataclasses.replace(compute, device=torch.device("cpu"))
    with source:
        for name, weight in model_weights(source, spec, ema=ema):
            if vae is None or not name.startswith("vae."):
                put(networks, name, weight, dataclasses.replace(beside, dtype=_dtype(name, spec, compute)))
    if vae is not None:
        with vae[0]:
            for name, weight in vae_weights(*vae):
                put(networks["vae"], name, weight, dataclasses.replace(beside, dtype=vae_dtype(spec, compute.dtype)))
    return lambda name, held: held.detach().to(compute.device)


def _dtype(name: str, spec: ModelSpec, compute: Compute) -> torch.dtype:
    return vae_dtype(spec, compute.dtype) if name.startswith("vae.") else compute.dtype
