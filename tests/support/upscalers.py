"""Small upscalers with random weights, made by the architectures' own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inkwash.checkpoint.files import write
from inkwash.imaging.architectures import spandrel


def compact(scale: int = 2, features: int = 8, convolutions: int = 2) -> nn.Module:
    made = _architecture("Compact").Compact(num_feat=features, num_conv=convolutions, upscale=scale)
    return seeded(made)


def esrgan(scale: int = 4) -> nn.Module:
    return seeded(_architecture("ESRGAN").ESRGAN(num_filters=8, num_blocks=1, scale=scale))


def swinir() -> nn.Module:
    return seeded(
        _architecture("SwinIR").SwinIR(
            img_size=64, window_size=8, depths=[2], embed_dim=12, num_heads=[2], mlp_ratio=2, upscale=2,
            upsampler="pixelshuffledirect",
        )
    )  # fmt: skip


def seeded(network: nn.Module) -> nn.Module:
    """The same random weights every time, small enough for pictures to stay pictures."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return network.eval()


def saved(network: nn.Module, path: Path) -> Path:
    """As safetensors; as a pickle where the name ends in .pth, nested as Real-ESRGAN's are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state: dict[str, Tensor] = {name: value.contiguous() for name, value in network.state_dict().items()}
    if path.suffix == ".pth":
        torch.save({"params": {name: value * 0 for name, value in state.items()}, "params_ema": state}, path)
    else:
        write(path, state)
    return path


def _architecture(name: str) -> Any:
    return getattr(spandrel().architectures, name)
