"""How close the enlarged picture comes to the one drawn large, beside Lanczos."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from inkwash.imaging.learned import load
from inkwash.imaging.upscale import Resampling, Upscaler
from inkwash.runtime.device import choose

from .pairs import Pictures, load_pairs
from .settings import Settings


def measure(settings: Settings) -> None:
    """Print the mean PSNR over the held-out scenes, of plain small pictures and of the autoencoder's."""
    torch.set_num_threads(1)
    learned = load(settings.paths.model, choose("cpu", "float32"))
    pairs = load_pairs(settings, "held_out")
    print(f"{len(pairs.large)} scenes, {pairs.small.shape[1]} -> {pairs.large.shape[1]} pixels, mean PSNR in dB")
    for upscaler in (Resampling("Lanczos"), learned):
        plain, decoded = (psnr(upscaler, small, pairs.large) for small in (pairs.small, pairs.decoded))
        print(f"{upscaler.name:12} plain {plain:.2f}   through the autoencoder {decoded:.2f}")


def psnr(upscaler: Upscaler, small: Pictures, large: Pictures) -> float:
    found = []
    for low, high in zip(small, large, strict=True):
        made = upscaler(Image.fromarray(low), (high.shape[1], high.shape[0]))
        found.append(10 * np.log10(255**2 / np.square(np.asarray(made, np.float64) - high).mean()))
    return float(np.mean(found))
