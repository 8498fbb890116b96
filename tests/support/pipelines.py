"""diffusers' own pipelines, made to walk the noise levels they are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def on(kind: str, sigmas: Tensor, **options: Any) -> Any:
    """A diffusers scheduler that walks these sigmas, at the fractional timesteps they belong to."""
    import diffusers

    base = getattr(diffusers, kind)

    class Explicit(base):  # type: ignore[misc]
        def set_timesteps(self, count: int, device: Any = None, **_: Any) -> None:
            super().set_timesteps(count, device=device)
            log_sigmas = ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt().log().numpy()
            times = np.interp(sigmas[:-1].log().numpy(), log_sigmas, np.arange(1000.0))
            self.timesteps = torch.from_numpy(times)
            self.sigmas = sigmas.clone()

    return Explicit(**{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"} | options)
