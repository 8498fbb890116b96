"""Upscalers that were trained: ESRGAN, SwinIR, DAT, HAT, compact and whatever else spandrel reads."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inkwash.checkpoint.files import read
from inkwash.core.errors import UnsupportedModel
from inkwash.core.resizing import Size, resize
from inkwash.imaging.architectures import network_of
from inkwash.imaging.tiles import Pixels, tiled
from inkwash.imaging.upscale import Pieces, at_once
from inkwash.runtime.device import Compute
from inkwash.runtime.memory import out_of_memory

TILE, OVERLAP = 256, 32
"""Pixels of the picture that is enlarged.  An ESRGAN of 4x takes 0.8 GB for such a tile in float32, 0.5 in bfloat16."""

SMALLEST_TILE = 64
"""Where memory runs out, tiles are halved down to this."""

MAX_PIXELS = 2**28
"""Of what one pass makes: before a pass that would make more the picture is made smaller."""

CHANNELS = (1, 3)  # of networks for grey pictures, which take the three colours one by one; of all others


@dataclass(frozen=True, eq=False)
class Learned:
    """A trained upscaler.  network: spandrel's description of it, with the module inside."""

    name: str
    network: Any
    compute: Compute
    tile: int = TILE
    overlap: int = OVERLAP

    @property
    def scale(self) -> int:
        """By which the network itself enlarges; 1: it only restores."""
        return int(self.network.scale)

    @property
    def architecture(self) -> str:
        return str(self.network.architecture.name)

    @property
    def nbytes(self) -> int:
        return sum(weight.nbytes for weight in self.network.model.parameters())

    def __call__(self, picture: Image.Image, size: Size) -> Image.Image:
        """picture: RGB.  Returns it at exactly ``size`` pixels."""
        return at_once(self.pieces(picture, size))

    def pieces(self, picture: Image.Image, size: Size) -> Pieces:
        """``__call__`` tile by tile; yields the share of the present pass that is done.

        The network is run until the picture is large enough, then Lanczos brings it to the size.  One that only
        restores is run once.
        """
        pixels: Pixels = np.array(picture.convert("RGB"))
        for _ in range(passes(self.scale, picture.size, size)):
            pixels = yield from self._pass(self._bounded(pixels))
        return resize(Image.fromarray(pixels), size)

    def _bounded(self, pixels: Pixels) -> Pixels:
        """As it is, unless a pass would make more than MAX_PIXELS of it."""
        height, width = pixels.shape[:2]
        shrink = math.sqrt(MAX_PIXELS / (height * width)) / self.scale
        if shrink >= 1:
            return pixels
        smaller = max(1, int(width * shrink)), max(1, int(height * shrink))
        return np.array(resize(Image.fromarray(pixels), smaller))

    def _pass(self, pixels: Pixels) -> Generator[float, None, Pixels]:
        """Once through the network, in smaller tiles if memory runs out."""
        try:
            return (yield from tiled(pixels, self.scale, self._tile(pixels), self.overlap, self._run))
        except Exception as error:
            if not out_of_memory(error) or self.tile // 2 < SMALLEST_TILE:
                raise
        smaller = replace(self, tile=self.tile // 2, overlap=max(self.overlap // 2, 8))
        return (yield from smaller._pass(pixels))

    def _tile(self, pixels: Pixels) -> int:
        """Networks that cut tiles themselves get the whole picture."""
        return max(pixels.shape) if self.network.tiling.name == "INTERNAL" else self.tile

    @torch.inference_mode()
    def _run(self, pixels: Pixels) -> Tensor:
        """(h, w, 3) -> (3, h scale, w scale) float32 on the CPU, in 0..1."""
        colours = (torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255).to(self.network.device, self.network.dtype)
        parts = colours[None] if self.network.input_channels == 3 else colours[:, None]
        return torch.cat([self.network(part[None])[0] for part in parts]).float().cpu()


def passes(scale: int, have: Size, want: Size) -> int:
    """How often a network is run until ``want`` is covered; one that only restores, once."""
    need = max(want[0] / have[0], want[1] / have[1])
    return 1 if scale == 1 else max(0, math.ceil(math.log(need, scale) - 1e-9))


def load(path: Path, compute: Compute, name: str = "") -> Learned:
    """The upscaler in a file: safetensors, or a pickle read without trust.

    It computes in ``compute``'s dtype where its architecture bears it, else in float32.
    Raises DamagedFile, UnsupportedModel, ModelNotFound.
    """
    network = network_of(read(path), path.name)
    _check(network, path.name)
    network.model.to(compute.device, dtype_for(network, compute))
    return Learned(name or path.stem, network, compute)


def _check(network: Any, name: str) -> None:
    """Raises UnsupportedModel for what is no upscaler, in the words of what it is."""
    kind = {"FaceSR": "restores single faces", "Inpainting": "fills masks"}.get(network.purpose)
    if kind is not None:
        message = f"{name} ({network.architecture.name}) {kind}; it enlarges no pictures."
        raise UnsupportedModel(message, "Choose an upscaler, such as an ESRGAN or SwinIR.")
    if network.input_channels not in CHANNELS or network.output_channels != network.input_channels:
        channels = f"{network.input_channels} channels to {network.output_channels}"
        raise UnsupportedModel(f"{name} turns {channels}, not colours to colours.", "Choose another upscaler.")


def dtype_for(network: Any, compute: Compute) -> torch.dtype:
    """``compute``'s own, where the architecture bears it."""
    borne = {torch.float16: network.supports_half, torch.bfloat16: network.supports_bfloat16}
    return compute.dtype if borne.get(compute.dtype, True) else torch.float32
