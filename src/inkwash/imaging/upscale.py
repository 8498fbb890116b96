"""Pictures enlarged: by resampling, or by whatever else can make a picture of a wanted size out of a smaller one."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from PIL import Image

from inkwash.core.resizing import Size, resize

PLAIN = {"Nearest": Image.Resampling.NEAREST, "Lanczos": Image.Resampling.LANCZOS}

Pieces = Generator[float, None, Image.Image]
"""An enlarging that can be watched and stopped: yields the share that is done, returns the picture."""


class Upscaler(Protocol):
    """Something that enlarges pictures; always the same picture of the same one."""

    @property
    def name(self) -> str: ...

    def __call__(self, picture: Image.Image, size: Size) -> Image.Image:
        """picture: RGB.  Returns it at exactly ``size`` (width, height) pixels."""
        ...


@runtime_checkable
class Piecewise(Protocol):
    """An upscaler that takes long, and says how far it is."""

    def pieces(self, picture: Image.Image, size: Size) -> Pieces: ...


@dataclass(frozen=True)
class Resampling:
    """An upscaler that adds nothing."""

    name: str  # of PLAIN

    def __call__(self, picture: Image.Image, size: Size) -> Image.Image:
        return resize(picture, size, resample=PLAIN[self.name])


def at_once(work: Pieces) -> Image.Image:
    """The picture, without looking how far it is."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            picture: Image.Image = done.value
            return picture


def pieces(upscaler: Upscaler, picture: Image.Image, size: Size) -> Pieces:
    """``upscaler``'s work, in pieces where it can be cut."""
    if isinstance(upscaler, Piecewise):
        return (yield from upscaler.pieces(picture, size))
    return upscaler(picture, size)
