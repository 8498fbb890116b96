"""Pictures enlarged one after another, each by one upscaler or two, and their faces restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from PIL import Image

from inkwash.core.extras import Extras, FaceRestoration
from inkwash.core.progress import Enlarging, Progress
from inkwash.core.request import GenerateRequest
from inkwash.core.resizing import Size, resize
from inkwash.generation.run import Enlarge, RestoreFaces, Run
from inkwash.generation.session import Work
from inkwash.imaging.restoring import Restoring
from inkwash.imaging.upscale import Upscaler

Find = Callable[[str], Upscaler]
Restore = Callable[[FaceRestoration], Restoring]


class Keep(Protocol):
    """Takes a finished picture: its place, itself, the text it came with, and the line about what was done to it."""

    def __call__(self, index: int, picture: Image.Image, infotext: str, told: str, /) -> None: ...


def enlarging(extras: Extras, find: Find, restoring: Restore, tell: Progress, keep: Keep) -> Work:
    """find: an upscaler by its name.  restoring: how faces are restored.  Raises what these raise.

    The work's value are its warnings.
    """
    first = None if extras.idle else find(extras.upscaler)
    second = find(extras.second_upscaler) if first and extras.blended else None
    faces = [restoring(wanted) for wanted in extras.faces]
    kinds = [one.restorer.architecture for one in faces]
    told = extras.told(first.name if first else "", second.name if second else "", kinds)

    def one(index: int, picture: Image.Image) -> Run[None]:
        def watch(share: float) -> None:
            tell(Enlarging(index, len(extras.images), share))

        watch(0.0)
        made = picture if extras.upscale_first else (yield from _restored(picture, faces, watch))
        made = made if first is None else (yield from _enlarged(extras, made, first, second, watch))
        made = (yield from _restored(made, faces, watch)) if extras.upscale_first else made
        keep(index, made, extras.infotexts[index] if extras.infotexts else "", told)

    width, height = extras.cover(extras.images[0].size)
    batches: Sequence[Sequence[Run[None]]] = [[one(index, picture)] for index, picture in enumerate(extras.images)]
    spoken_of = GenerateRequest(width=width, height=height)  # what an error about memory names
    warnings: list[str] = []
    return Work(spoken_of, iter(batches), lambda values: warnings, strict=True, warnings=warnings)


def _restored(picture: Image.Image, faces: Sequence[Restoring], watch: Callable[[float], None]) -> Run[Image.Image]:
    """By one after another; what is transparent stays so."""
    if not faces:
        return picture
    made = picture.convert("RGB")
    for one in faces:
        made = yield RestoreFaces(one, made, watch)
    if "A" in picture.getbands():
        made.putalpha(picture.getchannel("A"))
    return made


def _enlarged(
    extras: Extras, picture: Image.Image, first: Upscaler, second: Upscaler | None, watch: Callable[[float], None]
) -> Run[Image.Image]:
    """What is transparent is enlarged by Lanczos, for no upscaler was taught it."""
    cover, colours = extras.cover(picture.size), picture.convert("RGB")
    large: Image.Image = yield Enlarge(first, colours, cover, watch)
    if second is not None:
        other: Image.Image = yield Enlarge(second, colours, cover, watch)
        large = Image.blend(large, other, extras.second_visibility)
    if "A" in picture.getbands():
        large.putalpha(resize(picture.getchannel("A"), cover))
    return _cut(large, extras.size) if extras.size and extras.crop else large


def _cut(picture: Image.Image, size: Size) -> Image.Image:
    """The middle of a picture that covers ``size``."""
    return resize(picture, size, "crop and resize")
