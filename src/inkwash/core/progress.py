"""How work in progress is told to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Loading:
    """A model is being read.  ``name`` as people know it."""

    name: str


@dataclass(frozen=True)
class Step:
    """One sampler step of one picture is done.

    ``call``/``calls`` count U-Net calls of this picture (a second-order sampler makes two a step); ``steps`` is None
    for samplers that choose their own.  ``denoised`` is the model's present idea of the clean latents (4, h, w),
    ``x`` the noisy latents it was made from; ``preview()`` turns ``denoised`` into an approximate (3, h, w) picture
    in 0..1 without the VAE.
    """

    image: int  # index of the picture in the result
    images: int  # how many pictures the request draws
    step: int  # 1-based
    steps: int
    sigma: float
    x: torch.Tensor
    denoised: torch.Tensor
    preview: Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Decoding:
    """The picture's latents are finished and are being decoded by the VAE."""

    image: int
    images: int


Event = Loading | Step | Decoding


class Progress(Protocol):
    """Called with each event, in order, in the thread that draws.  Raise ``Cancelled`` to stop within one step."""

    def __call__(self, event: Event, /) -> None: ...
