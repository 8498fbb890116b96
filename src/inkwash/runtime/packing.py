"""Weights laid out once the way oneDNN's CPU kernels read them, instead of at every call.

``pack`` swaps layers of a finished network for packed ones, by name and one at a time, so that no weight is in memory
twice.  Packed networks are for drawing only: their weights cannot be read back, trained or saved.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PackedLinear(nn.Module):
    """What ``nn.Linear`` computes, from a packed weight."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


class PackedConv2d(nn.Module):
    """What ``nn.Conv2d`` computes, from a packed weight."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.padding, self.stride, self.dilation, self.groups = conv.padding, conv.stride, conv.dilation, conv.groups
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach(), conv.padding, conv.stride, conv.dilation, conv.groups)
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups, "none", [], "")


def pack(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    for name, child in list(module.named_children()):
        if type(child) is nn.Linear:
            setattr(module, name, PackedLinear(child))
        elif type(child) is nn.Conv2d and child.kernel_size!=(1,1):
            setattr(module, name, PackedConv2d(child))
        else:
            pack(child, device, dtype)
