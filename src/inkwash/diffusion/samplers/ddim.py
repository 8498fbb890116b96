"""DDIM (arXiv:2010.02502) and its CFG++ form (arXiv:2406.08070), written for VE latents.

Dividing equation 12 of arXiv:2010.02502 by sqrt(alpha_prev) gives x = x0 + sigma_down d + sigma_up noise, d the
predicted noise: DDIM is Euler's ancestral step with eta as in equation 16.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from inkwash.core.errors import InvalidRequest
from inkwash.diffusion.samplers.ancestral import ancestral_step, euler_ancestral
from inkwash.diffusion.samplers.protocol import Noise, Steps, floats, level, renoised


def ddim(x: Tensor, sigmas: Tensor, noise: Noise, *, eta: float = 0.0) -> Steps:
    """Equation 12 of arXiv:2010.02502; eta = 0 is deterministic, eta = 1 DDPM."""
    return (yield from euler_ancestral(x, sigmas, noise, eta=eta))


def ddim_cfgpp(x: Tensor, sigmas: Tensor, noise: Noise, *, eta: float = 0.0) -> Steps:
    """Algorithm 2 of arXiv:2406.08070: the picture is guided, the direction back to noise unconditional.

    Each Prediction must carry ``uncond``; raises InvalidRequest when one does not.
    """
    for sigma, sigma_next in pairwise(floats(sigmas)):
        prediction = yield x, level(sigma)
        if prediction.uncond is None:
            raise InvalidRequest("DDIM CFG++ needs the unconditional prediction.", "Use DDIM for models without one.")
        down, up = ancestral_step(sigma, sigma_next, eta)
        x = prediction.denoised + (x - prediction.uncond) / sigma * down
        x = renoised(x, sigma, sigma_next, up, noise)
    return x
