"""What ours and diffusers' side say of one model, and diffusers' side of it: one U-Net call, whole latents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inkwash.checkpoint import ModelSpec
from inkwash.core.request import GenerateRequest
from inkwash.generation.run import Encoded


@dataclass(frozen=True)
class Answers:
    """What one side says."""

    contexts: list[Tensor]  # (77 n, D) of the prompt, and of one of two chunks
    pooled: list[Tensor | None]
    unet: Tensor  # (4, h, w), the predicted x0
    latents: Tensor  # (4, h, w)


def start(request: GenerateRequest) -> Tensor:
    """The noise a picture begins with, (1, 4, h, w)."""
    assert request.height
    assert request.width
    shape = (1, 4, request.height // 8, request.width // 8)
    return torch.randn(shape, generator=torch.Generator().manual_seed(request.seed))


@torch.no_grad()
def network(pipeline: Any, spec: ModelSpec, x: Tensor, sigma: float, text: Encoded) -> Tensor:
    """The predicted x0 of one call of diffusers' U-Net, by the formulas of arXiv:2206.00364 and arXiv:2202.00512."""
    levels = ((1 - pipeline.scheduler.alphas_cumprod) / pipeline.scheduler.alphas_cumprod).sqrt().double()
    t = torch.from_numpy(np.interp([math.log(sigma)], levels.log().numpy(), np.arange(1000.0)))
    height, width = x.shape[2] * 8, x.shape[3] * 8
    numbers = [height, width, 0, 0, *([6.0] if spec.family == "sdxl-refiner" else [height, width])]
    added = {"text_embeds": text.pooled[None], "time_ids": torch.tensor([numbers])} if text.pooled is not None else None
    scaled = x / (sigma**2 + 1) ** 0.5
    output = pipeline.unet(scaled, t, text.context[None], added_cond_kwargs=added).sample[0]
    if spec.prediction == "eps":
        return x[0] - sigma * output
    return x[0] / (sigma**2 + 1) - output * sigma / (sigma**2 + 1) ** 0.5


def drawn(pipeline: Any, spec: ModelSpec, request: GenerateRequest, text: Encoded, negative: Encoded | None) -> Tensor:
    """The pipeline's own latents.  The refiner's is an img2img pipeline: nothing, noised as far as can be."""
    given: dict[str, Any] = {"prompt_embeds": text.context[None], "num_inference_steps": len(request.sigmas or ()) - 1}
    given |= {"guidance_scale": request.cfg_scale, "output_type": "latent"}
    if negative is not None:
        given["negative_prompt_embeds"] = negative.context[None]
    if text.pooled is not None:
        given["pooled_prompt_embeds"] = text.pooled[None]
        given["negative_pooled_prompt_embeds"] = (
            negative.pooled[None] if negative and negative.pooled is not None else None
        )
    if spec.family == "sdxl-refiner":
        given |= {"image": torch.zeros_like(start(request)), "strength": 1.0}
        given["generator"] = torch.Generator().manual_seed(request.seed)
    else:
        given |= {"latents": start(request), "height": request.height, "width": request.width}
    latents: Tensor = pipeline(**given).images[0]
    return latents


def distance(left: Tensor, right: Tensor) -> float:
    return float((left - right).norm() / right.norm())
