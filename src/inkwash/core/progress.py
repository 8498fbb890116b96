"""How work in progress is told to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


@dataclass(frozen=True)
class Loading:
    """A model is being read.  ``name`` as people know it."""

    name: str


@dataclass(frozen=True, eq=False)
class Started:
    """The request is settled and drawing begins.  ``sigmas``: the noise schedule, descending."""

    images: int
    steps: int
    sigmas: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """One sampler step of one picture is done.

    ``denoised`` is the model's present idea of the clean latents (4, h, w), ``x`` the noisy latents it was made from;
    ``preview()`` decodes ``denoised`` with the VAE into a picture (costs a decode; call sparingly).
    """

    image: int  # index of the picture in the result
    images: int  # how many pictures the request draws
    step: int  # 1-based
    steps: int
    sigma: float
    x: torch.Tensor
    denoised: torch.Tensor
    preview: Callable[[], Image]


@dataclass(frozen=True)
class Decoding:
    """The picture's latents are finished and are being decoded by the VAE."""

    image: int
    images: int


@dataclass(frozen=True)
class Enlarging:
    """A picture is being enlarged without being redrawn; ``share`` of the present pass is done."""

    image: int
    images: int
    share: float  # 0..1


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture is finished, before its neighbours perhaps; what is saved now survives a cancel.

    ended_at: the step at which ``Enough`` ended it; None: it was drawn to its end.
    """

    image: int
    images: int
    picture: Image
    infotext: str
    seed: int
    ended_at: int | None = None


Event = Loading | Started | Step | Decoding | Enlarging | Drawn


class Progress(Protocol):
    """Called with each event, in order, in the thread that draws.

    Raise ``Cancelled`` to stop within one step, or ``Enough`` at a ``Step`` to have that picture as it stands.
    """

    def __call__(self, event: Event, /) -> None: ...
