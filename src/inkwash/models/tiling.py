"""Pictures whose edges meet: the same weights, with every convolution wrapping around instead of padding with zeros."""

from __future__ import annotations

import copy
import dataclasses
from typing import TypeVar

from torch import nn

from inkwash.models.absent import Absent
from inkwash.models.blocks import Wrapped
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.runtime.packing import PackedConv2d

Network = TypeVar("Network", bound=nn.Module)


def tiling(model: StableDiffusion) -> StableDiffusion:
    """A view of the model that draws seamless textures.  Weights are shared; ``model`` itself is unchanged."""
    return dataclasses.replace(model, unet=_wrapping(model.unet), vae=_wrapping(model.vae))


def _wrapping(network: Network) -> Network:
    """A copy of the module tree, not of its weights, with each padded convolution wrapped."""
    twin = copy.copy(network)
    twin._modules = {name: child and _replacement(child) for name, child in network._modules.items()}
    return twin


def _replacement(child: nn.Module) -> nn.Module:
    if isinstance(child, Absent):
        return child.seen(_replacement)
    if isinstance(child, nn.Conv2d | PackedConv2d) and any(child.padding):
        return Wrapped(child)
    return _wrapping(child)
