"""The random numbers of one picture: its first noise, variations of it, and the noise its sampler asks for.

Every picture has generators of its own, so what is drawn beside it never changes it.  Numbers and their order are
A1111's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal, Self

import torch
from torch import Tensor

from inkwash.core.boxes import Box
from inkwash.core.errors import InvalidRequest
from inkwash.diffusion.brownian import BrownianTree
from inkwash.diffusion.philox import Philox

NoiseSource = Literal["CPU", "GPU", "NV"]
Draws = Callable[[tuple[int, ...]], Tensor]
Noise = Callable[[Tensor, Tensor], Tensor]  # (sigma, sigma_next) -> unit-variance Brownian increment of x's shape


def draws(source: NoiseSource, seed: int, device: torch.device | str = "cpu") -> Draws:
    """A generator of standard normal tensors, float32 on ``device``.

    CPU: PyTorch's on the CPU, the same on every machine.  GPU: the device's own.  NV: an NVIDIA card's, computed on
    the CPU.  Raises InvalidRequest for another source.
    """
    if source == "NV":
        philox = Philox(seed)
        return lambda shape: philox.normal(shape).to(device)
    if source not in ("CPU", "GPU"):
        raise InvalidRequest(f"There is no noise source {source!r}.", "Choose CPU, GPU or NV.")
    home = torch.device("cpu" if source == "CPU" else device)
    generator = torch.Generator(home).manual_seed(seed)
    return lambda shape: torch.randn(shape, generator=generator, device=home, dtype=torch.float32).to(device)


class PictureNoise:
    """Noise of one picture.  shape: (channels, h, w) of its latents; everything comes out float32 on ``device``.

    subseed_strength: 0 = seed only .. 1 = subseed only.  seed_resize: (h, w) of the latents whose noise is to be
    centred in this picture's, or None.  ensd: "eta noise seed delta", added to the seed of all draws after the first.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        seed: int,
        *,
        source: NoiseSource = "CPU",
        device: torch.device | str = "cpu",
        subseed: int = 0,
        subseed_strength: float = 0.0,
        seed_resize: tuple[int, int] | None = None,
        ensd: int = 0,
    ) -> None:
        self._shape, self._seed, self._source, self._device = shape, seed, source, device
        later = draws(source, seed, device)
        drawn_shape = (shape[0], *seed_resize) if seed_resize else shape
        same_size = drawn_shape == shape
        noise = later(shape) if same_size else draws(source, seed, device)(drawn_shape)
        if subseed_strength != 0:
            noise = slerp(noise, draws(source, subseed, device)(drawn_shape), subseed_strength)
        # The frame around resized noise is this generator's first draw, so later draws match those of a plain picture.
        self._initial = noise if same_size else centred(noise, later(shape))
        self._later = draws(source, seed + ensd, device) if ensd else later

    def patched(self, patches: Iterable[tuple[Box, Tensor]]) -> Self:
        """This noise with other first noise, (channels, height, width), in some boxes; later ones lie over others."""
        for box, noise in patches:
            self._initial[(..., *box.place)] = noise
        return self

    def initial(self) -> Tensor:
        """The noise the picture starts from, (channels, h, w); the same at every call."""
        return self._initial.clone()

    def beside(self, channels: int) -> Tensor:
        """The next draw of the picture's generator, for a picture of that many channels that the model sees."""
        return self._later((channels, *self._shape[1:]))

    def ancestral(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """The next draw of the picture's generator, whatever the sigmas."""
        return self._later(self._shape)

    def brownian(self, sigma_min: float, sigma_max: float) -> Noise:
        """Unit-variance increments of a Brownian path in sigma over [sigma_min, sigma_max], of the picture's seed.

        The path depends on the range: pass the smallest positive and the largest sigma of the whole schedule, also when
        only its tail is sampled.
        """
        tree = BrownianTree(sigma_min, sigma_max, self._seed, self._draw_node)

        def noise(sigma: Tensor, sigma_next: Tensor) -> Tensor:
            start, end = float(sigma), float(sigma_next)
            return tree.increment(start, end) / math.sqrt(abs(end - start))

        return noise

    def _draw_node(self, seed: int) -> Tensor:
        return draws(self._source, seed, self._device)(self._shape)


def slerp(first: Tensor, second: Tensor, strength: float) -> Tensor:
    """Spherical interpolation of (c, h, w) noises, column by column (along h) as A1111 does it.

    Nearly equal noises (mean cosine above 0.9995) are mixed linearly, with A1111's weights: ``strength`` of the first.
    """
    cosine = (first / first.norm(dim=1, keepdim=True) * (second / second.norm(dim=1, keepdim=True))).sum(1)
    if cosine.mean() > 0.9995:
        return first * strength + second * (1 - strength)
    angle = cosine.clamp(-1, 1).acos()
    # Parallel columns have no arc between them; the small angle gives the straight line instead of 0 / 0.
    angle = torch.where(angle.sin() < 1e-6, torch.full_like(angle, 1e-3), angle)
    weights = ((1 - strength) * angle).sin() / angle.sin(), (strength * angle).sin() / angle.sin()
    return weights[0].unsqueeze(1) * first + weights[1].unsqueeze(1) * second


def centred(noise: Tensor, frame: Tensor) -> Tensor:
    """``frame`` with ``noise`` laid over its centre, cut where it is larger.  Both (c, h, w)."""
    result = frame.clone()
    (to_y, from_y, height), (to_x, from_x, width) = (_overlap(noise.shape[i], frame.shape[i]) for i in (1, 2))
    patch = noise[:, from_y : from_y + height, from_x : from_x + width]
    result[:, to_y : to_y + height, to_x : to_x + width] = patch
    return result


def _overlap(inner: int, outer: int) -> tuple[int, int, int]:
    """Where one side of the noise goes, where it is read from, and how much of it: offsets are rounded down."""
    offset = (outer - inner) // 2
    return (offset, 0, inner) if offset >= 0 else (0, -offset, inner + 2 * offset)
