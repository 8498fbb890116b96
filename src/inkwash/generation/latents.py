"""The latents each task starts from, and those a mask keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from inkwash.core.masks import greys_count
from inkwash.core.request import GenerateRequest, InpaintingFill, SoftInpainting
from inkwash.diffusion.noise import PictureNoise
from inkwash.diffusion.parametrization import add_noise
from inkwash.generation.canvas import Canvas
from inkwash.generation.run import Beside, Encode, Run
from inkwash.models.stable_diffusion import StableDiffusion

MODES: dict[str, tuple[str, bool]] = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}
"""Latent upscalers: PyTorch's interpolation, and whether it averages when it shrinks."""

DEPTH_CHANNELS, MASKED_CHANNELS = 5, 9
"""Input channels of U-Nets that see a depth map, or a mask and a masked picture, beside x."""


@dataclass(frozen=True, eq=False)
class Source:
    """A canvas as tensors, and how a picture starts from it."""

    picture: Tensor  # (3, H, W) in 0..1, at the drawing size; for the x4 upscaler at a quarter of it
    own: Tensor | None  # (3, H', W'): encoded instead of ``picture``, and its latents resized
    mask: Tensor | None  # (1, H, W) in 0..1, 1 = redraw
    depth: Tensor | None  # (1, H, W) in 0..1
    strength: float
    noise_multiplier: float
    fill: InpaintingFill
    soft: SoftInpainting | None
    greys: bool = False  # of the mask, which mix old and new


def source_of(canvas: Canvas, request: GenerateRequest) -> Source:
    """request: settled."""
    assert request.denoising_strength is not None
    return Source(
        picture=as_tensor(canvas.picture),
        own=None if canvas.own is None else as_tensor(canvas.own),
        mask=None if canvas.mask is None else as_tensor(canvas.mask),
        depth=None if canvas.depth is None else as_tensor(canvas.depth),
        strength=request.denoising_strength,
        noise_multiplier=request.initial_noise_multiplier,
        fill=request.inpainting_fill,
        soft=request.soft_inpainting,
        greys=greys_count(request),
    )


def as_tensor(image: Image.Image) -> Tensor:
    """An 8-bit picture -> (channels, H, W) float32 in 0..1."""
    pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255)
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()


def encoded(model: StableDiffusion, source: Source, unit: Tensor) -> Run[Tensor]:
    """What the picture looks like to the U-Net, (4, h, w), with the masked content asked for.

    unit: the picture's first noise, of the size wanted.
    """
    latents: Tensor = yield Encode(model, source.picture if source.own is None else source.own)
    if latents.shape != unit.shape:
        latents = enlarged(latents, (unit.shape[1], unit.shape[2]), "Latent")
    redraw = redrawn(source, unit)
    if redraw is None or source.fill in ("original", "fill"):
        return latents
    return latents * (1 - redraw) + (unit * redraw if source.fill == "latent noise" else 0)


def redrawn(source: Source, like: Tensor) -> Tensor | None:
    """The mask in latents, (1, h, w): each is redrawn if at least half of its pixels are masked.

    A mask so small that no latent is half covered takes every latent it touches.  Where greys count it is the share.
    """
    if source.mask is None:
        return None
    share = F.adaptive_avg_pool2d(source.mask[None], (like.shape[1], like.shape[2]))[0].to(like.device)
    if source.greys:
        return share
    half = (share >= 0.5).float()
    return half if bool(half.any()) else (share > 0).float()


def mixed(old: Tensor, new: Tensor, redraw: Tensor) -> Tensor:
    """``new`` where redraw is 1, ``old`` where it is 0: A1111's blend of every prediction."""
    return old * (1 - redraw) + new * redraw


def mixed_softly(old: Tensor, new: Tensor, redraw: Tensor, sigma: float, soft: SoftInpainting) -> Tensor:
    """A1111's soft inpainting: the old picture gives way as sigma falls, and mixtures keep their contrast.

    A mean of two unlike vectors is shorter than either; each is lengthened to the power mean of both lengths.
    """
    share: Tensor = redraw ** (soft.preservation_strength * sigma**soft.schedule_bias)
    mean = mixed(old, new, share)
    power = soft.transition_contrast
    lengths = mixed(old.norm(dim=0, keepdim=True) ** power, new.norm(dim=0, keepdim=True) ** power, share)
    have: Tensor = mean.norm(dim=0, keepdim=True) + 1e-5
    wanted: Tensor = lengths ** (1 / power)
    return mean * (wanted / have)


def moved(old: Tensor, new: Tensor, redraw: Tensor | None, soft: SoftInpainting | None) -> Tensor | None:
    """Where soft inpainting has made another picture, (h, w) in 0..1: the rest is better taken from the old one.

    d^c / (d^c + threshold^c) of the distance d between latents; ``mask_influence`` mixes in the mask itself.  None
    without a mask or soft inpainting.
    """
    if redraw is None or soft is None:
        return None
    distance = (new - old).norm(dim=0)
    threshold = max(soft.difference_threshold, 1e-6)
    share: Tensor = 1 / (1 + (threshold / distance.clamp(min=1e-6)) ** max(soft.difference_contrast, 1e-6))
    return share + (redraw[0] - share) * soft.mask_influence


def enlarged(latents: Tensor, size: tuple[int, int], upscaler: str) -> Tensor:
    """(c, h, w) -> (c, *size) by one of ``MODES``."""
    mode, antialias = MODES[upscaler]
    return F.interpolate(latents[None], size=size, mode=mode, antialias=antialias)[0]


def cropped(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of (c, h, w), (c, *size)."""
    top, left = (x.shape[1] - size[0]) // 2, (x.shape[2] - size[1]) // 2
    return x[:, top : top + size[0], left : left + size[1]]


def beside_of(model: StableDiffusion, source: Source | None, like: Tensor) -> Run[Beside]:
    """What this U-Net wants to see beside x: nothing; mask and masked picture (9 channels); depth (5)."""
    channels = model.spec.unet.in_channels
    if channels == DEPTH_CHANNELS:
        return Beside(_depth(source, like))
    if channels != MASKED_CHANNELS:
        return Beside()
    return Beside((yield from _masked(model, source, like)))


def noised(model: StableDiffusion, picture: Tensor, level: int, noise: PictureNoise) -> Tensor:
    """picture: (3, h, w) in 0..1.  As the x4 upscaler sees it: in -1..1, at that level of a schedule of its own."""
    assert model.low_res_schedule is not None
    pixels = picture.to(model.device) * 2 - 1
    return add_noise(pixels, noise.beside(pixels.shape[0]), torch.tensor(level), model.low_res_schedule)


def _masked(model: StableDiffusion, source: Source | None, like: Tensor) -> Run[Tensor]:
    """The mask and the picture without what it hides; without a mask everything is hidden, over mid-grey.  (5, h, w)"""
    size = [side * model.latent_factor for side in like.shape[1:]]
    if source is None or source.mask is None:
        picture, mask = torch.full((3, *size), 0.5), torch.ones(1, *size)
    else:
        mask = _fitted(source.mask, size).round()
        picture = torch.lerp(_fitted(source.picture, size), torch.tensor(0.5), mask)
    latents = yield Encode(model, picture.to(like.device))
    hidden = F.interpolate(mask[None], size=latents.shape[1:])[0]
    return torch.cat([hidden.to(latents.device), latents])


def _depth(source: Source | None, like: Tensor) -> Tensor:
    """The depth map, stretched to -1..1 as in training.  (1, h, w)"""
    assert source is not None  # ``prepare`` has refused the request otherwise
    assert source.depth is not None
    depth = F.interpolate(source.depth[None], size=like.shape[1:], mode="bicubic", align_corners=False)[0]
    low, high = depth.min(), depth.max()
    flat = torch.zeros_like(depth)
    return (2 * (depth - low) / (high - low) - 1 if high > low else flat).to(like.device)


def _fitted(picture: Tensor, size: list[int]) -> Tensor:
    """At another size, for a hires pass."""
    return picture if list(picture.shape[1:]) == size else F.interpolate(picture[None], size=size, mode="bilinear")[0]
