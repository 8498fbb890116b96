"""Pictures enlarged: by resampling, or by whatever else can make a picture of a wanted size out of a smaller one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from inkwash.core.resizing import Size, resize

PLAIN = {"Nearest": Image.Resampling.NEAREST, "Lanczos": Image.Resampling.LANCZOS}


class Upscaler(Protocol):
    """Something that enlarges pictures; always the same picture of the same one."""

    @property
    def name(self) -> str: ...

    def __call__(self, picture: Image.Image, size: Size) -> Image.Image:
        """picture: RGB.  Returns it at exactly ``size`` (width, height) pixels."""
        ...


@dataclass(frozen=True)
class Resampling:
    """An upscaler that adds nothing."""

    name: str  # of PLAIN

    def __call__(self, picture: Image.Image, size: Size) -> Image.Image:
        return resize(picture, size, resample=PLAIN[self.name])
