"""What the model answers to one question of a sampler."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Prediction:
    """The clean picture the model sees in a noisy one; same shape as the sampler's x.

    ``denoised`` is the guided prediction.  ``uncond`` is the prediction without the prompt; samplers whose
    ``needs_uncond`` is set (DDIM CFG++) take their direction from it.
    """

    denoised: Tensor
    uncond: Tensor | None = None
