"""Driving samplers, and a model whose answers are known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from torch import Tensor

from inkwash.diffusion import SAMPLERS, Prediction

Denoiser = Callable[[Tensor, Tensor], Tensor]


class Gaussian:
    """Pictures are N(mean, std^2) in every element, so the best denoiser is linear and the ODE has a closed form."""

    mean, std = 0.7, 0.5

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return (self.mean * sigma**2 + self.std**2 * x) / (sigma**2 + self.std**2)

    def flow(self, x: Tensor, sigma: float, sigma_next: float) -> Tensor:
        """The probability-flow ODE from sigma to sigma_next: x keeps its place in units of the spread."""
        spread = math.sqrt((sigma_next**2 + self.std**2) / (sigma**2 + self.std**2))
        return self.mean + (x - self.mean) * spread


@pytest.fixture
def gaussian() -> Gaussian:
    return Gaussian()


@pytest.fixture
def drive() -> Callable[..., Tensor]:
    """drive(name, x, sigmas, denoiser, noise=None, calls=None, **options) -> x at the end.

    Without ``noise`` a sampler that draws fails.  ``calls`` collects the sigmas asked for.
    """

    def forbidden(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        raise AssertionError("this sampler must not draw noise")

    def run(
        name: str,
        x: Tensor,
        sigmas: Tensor,
        denoiser: Denoiser,
        noise: Callable[[Tensor, Tensor], Tensor] | None = None,
        calls: list[float] | None = None,
        **options: object,
    ) -> Tensor:
        steps = SAMPLERS[name](x, sigmas, noise or forbidden, **options)
        answer: Prediction | None = None
        while True:
            try:
                noisy, sigma = steps.send(answer)  # type: ignore[arg-type]
            except StopIteration as end:
                result: Tensor = end.value
                return result
            assert sigma.ndim == 0
            if calls is not None:
                calls.append(float(sigma))
            denoised = denoiser(noisy, sigma)
            answer = Prediction(denoised, denoised)

    return run
