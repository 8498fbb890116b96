"""How much memory drawing takes beside the weights, by estimate."""

from __future__ import annotations

from typing import Protocol


class Numbers(Protocol):
    """A kind of number: a dtype of torch, or what is known of one without it."""

    @property
    def itemsize(self) -> int:
        """Bytes of one."""
        ...


DECODER_MAPS = 6
"""Feature maps of the outermost width, at the picture's full size, that the decoder holds at its peak."""

UNET_MAPS = 40
"""The same of the U-Net in float32, at the latents' size; 10 in bfloat16, where attention is computed in tiles."""

BAND_MAPS = 10
"""The same of one that runs by bands, at a band's area: what is read, normed, padded and made, and one band late."""

LATENT_PIXELS = 64
"""Pixels of the picture to one of the latents."""

TILES = (96, 64, 48, 32, 16)
"""Latent pixels a side of the autoencoder's tiles that are tried, the largest that fits."""


def autoencoder_memory(pixels: int, dtype: Numbers, width: int) -> int:
    """Bytes of the decoder or encoder run as a whole, beside its weights; width: channels of its outermost level.

    Within a third for 256x256 to 512x512 pixels on a CPU.
    """
    return DECODER_MAPS * width * pixels * dtype.itemsize


def banded_memory(side: int, dtype: Numbers, width: int) -> int:
    """Bytes of the same run by bands with the area of a square of ``side`` pixels, beside the maps it keeps."""
    return BAND_MAPS * width * side * side * dtype.itemsize


def unet_memory(pixels: int, rows: int, dtype: Numbers, width: int) -> int:
    """Bytes of a U-Net call of so many rows, of pictures of ``pixels``."""
    return UNET_MAPS * width * rows * pixels // LATENT_PIXELS * dtype.itemsize
