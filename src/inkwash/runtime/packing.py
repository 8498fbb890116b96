"""Weights laid out once the way the CPU's kernels read them, instead of at every call.

``pack`` swaps layers of a finished network for packed ones, by name and one at a time, so that no network is in memory
twice.  Packed networks are for drawing only: their weights cannot be read back, trained or saved.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import torch
from torch import Tensor, nn

from inkwash.runtime import winograd

WINOGRAD_CHANNELS = 256
"""Channels in and out from which the transforms of a Winograd convolution cost less than the products they save."""


class PackedLinear(nn.Module):
    """What ``nn.Linear`` computes.  The weight is in oneDNN's own layout."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], ""))


class PackedConv2d(nn.Module):
    """What ``nn.Conv2d`` with zero padding computes.  ``padding`` may be changed afterwards."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        assert isinstance(conv.padding, tuple), "padding by name cannot be packed"
        self.padding: tuple[int, ...] = conv.padding
        self.stride, self.dilation, self.groups = conv.stride, conv.dilation, conv.groups
        self.out_channels = conv.out_channels
        self.weight = self._packed(conv)
        self.bias = conv.bias

    def _packed(self, conv: nn.Conv2d) -> Tensor:
        """The weight in oneDNN's own layout."""
        weight = conv.weight.detach()
        reorder = torch.ops.mkldnn._reorder_convolution_weight
        return cast(Tensor, reorder(weight, self.padding, self.stride, self.dilation, self.groups))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in, H, W), fastest in channels_last."""
        convolve = torch.ops.mkldnn._convolution_pointwise
        settings = (self.padding, self.stride, self.dilation, self.groups)
        return cast(Tensor, convolve(x, self.weight, self.bias, *settings, "none", [], ""))


class WinogradConv2d(PackedConv2d):
    """A 3x3 convolution of stride 1 in 4/9 of the multiplications; its weight takes 16/9 of the memory."""

    def _packed(self, conv: nn.Conv2d) -> Tensor:
        return winograd.transformed(conv.weight.detach())

    def forward(self, x: Tensor) -> Tensor:
        return winograd.convolve(x, self.weight, self.bias, (self.padding[0], self.padding[1]))


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN computes this dtype on this device."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype is torch.float32 or (dtype is torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def is_packed(module: nn.Module) -> bool:
    """Whether any layer of the tree is packed."""
    return any(isinstance(layer, PackedLinear | PackedConv2d) for layer in module.modules())


def pack(module: nn.Module, device: torch.device, dtype: torch.dtype, many_pixels: Collection[nn.Module] = ()) -> None:
    """Pack the layers of a network that is finished, on ``device`` and in ``dtype``; nothing where ``can_pack`` is
    false.

    many_pixels: parts of the tree that see 16x16 pixels or more.  Their wide 3x3 convolutions become Winograd's, which
    is faster there.  1x1 convolutions stay as they are.
    """
    if can_pack(device, dtype):
        _pack_children(module, many_pixels, winograd_here=module in many_pixels)


def _pack_children(module: nn.Module, many_pixels: Collection[nn.Module], winograd_here: bool) -> None:
    for name in [name for name, _ in module.named_children()]:  # no reference to a layer outlives its turn
        child = module.get_submodule(name)
        packed = _packed(child, winograd_here)
        if packed is not None:
            setattr(module, name, packed.train(child.training))
        else:
            _pack_children(child, many_pixels, winograd_here or child in many_pixels)


def _packed(layer: nn.Module, winograd_here: bool) -> nn.Module | None:
    """The packed form of a layer; None if it has none."""
    if type(layer) is nn.Linear:
        return PackedLinear(layer)
    if type(layer) is nn.Conv2d and layer.kernel_size != (1, 1) and layer.padding_mode == "zeros":
        return WinogradConv2d(layer) if winograd_here and _suits_winograd(layer) else PackedConv2d(layer)
    return None


def _suits_winograd(conv: nn.Conv2d) -> bool:
    plain = conv.kernel_size == (3, 3) and conv.stride == conv.dilation == (1, 1) and conv.groups == 1
    return plain and min(conv.in_channels, conv.out_channels) >= WINOGRAD_CHANNELS
