"""The guard against subjects that a prompt puts into every tile: what is large in the source stays."""

from __future__ import annotations

import math

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from inkwash.diffusion import Prediction
from inkwash.generation.latents import as_tensor
from inkwash.generation.run import Ask, Run

RADIUS = 2.0
"""Standard deviation of the low pass in latent pixels: of waves 85 pixels long in the picture half is held."""


def guarded(ask: Ask, original: Tensor, strength: float, first: float) -> Ask:
    """Every prediction's low frequencies drawn towards those of ``original``, (4, h, w).

    x0 + s * (L(original) - L(x0)), L a low pass, after arXiv:2108.02938, and s = strength * sqrt(sigma / first): early
    steps decide what there is, the late ones are left their freedom.  first: the sigma of the first step.
    """
    kept = low_pass(original)

    def pulled(x: Tensor, sigma: float, call: int) -> Run[Prediction]:
        prediction = yield from ask(x, sigma, call)
        share = strength * math.sqrt(min(sigma / first, 1.0))
        new = prediction.denoised
        return Prediction(new + share * (kept - low_pass(new)), prediction.uncond)

    return pulled


@torch.inference_mode()
def held(picture: Tensor, source: Image.Image, strength: float, radius: float) -> Tensor:
    """A finished picture, (3, H, W), whose low frequencies are drawn towards its source's in place; radius in pixels.

    A model draws what it is given in tones of its own, and an autoencoder that sees one tile alone gives it colours a
    little different from its neighbour's.
    """
    for own, channel in zip(picture, source.split(), strict=True):  # one by one: a large picture is a gigabyte
        own += strength * low_pass(as_tensor(channel) - own, radius)[0]
    return picture.clamp_(0, 1)


def low_pass(x: Tensor, radius: float = RADIUS) -> Tensor:
    """(c, h, w) under a Gaussian of that standard deviation; beyond its edges the picture goes on as it ends."""
    reach = math.ceil(3 * radius)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32, device=x.device)
    kernel = (-(steps**2) / (2 * radius**2)).exp()
    kernel = kernel / kernel.sum()
    padded = F.pad(x[:, None], (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel[None, None, None, :]), kernel[None, None, :, None])[:, 0]
