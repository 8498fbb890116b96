"""Pictures enlarged, faces restored, as A1111's tab "Extras" asks for it; and the same as JSON for the queue."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from inkwash.core.errors import InvalidRequest
from inkwash.core.limits import Limits
from inkwash.core.resizing import Size
from inkwash.core.wire import HASH, Find, Keep, reference

if TYPE_CHECKING:
    from PIL.Image import Image

NONE = "None"
"""A1111's word for no upscaler: the picture stays as it is."""

MAX_SCALE = 16.0


@dataclass(frozen=True, kw_only=True)
class FaceRestoration:
    """restorer: its name, or "Automatic": the best there is.  visibility: 0..1, of the restored over what was there.

    weight: CodeFormer's, from 0, which restores most, to 1, which stays closest.
    """

    restorer: str
    visibility: float = 1.0
    weight: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Extras:
    """infotexts: what each picture says of itself, which its result goes on saying.

    size: cover it, and with ``crop`` cut what stands over; None: ``scale`` decides.  second_upscaler is blended over
    the first by second_visibility, 0..1.  faces: restored by each in turn, of the enlarged picture or of the small one.
    """

    images: tuple[Image, ...]
    infotexts: tuple[str, ...] = ()
    upscaler: str = NONE
    scale: float = 2.0
    size: Size | None = None
    crop: bool = True
    second_upscaler: str = NONE
    second_visibility: float = 0.0
    faces: tuple[FaceRestoration, ...] = ()
    upscale_first: bool = True

    @property
    def idle(self) -> bool:
        """Whether nothing is enlarged."""
        return self.upscaler.casefold() == NONE.casefold()

    @property
    def blended(self) -> bool:
        return self.second_visibility > 0 and self.second_upscaler.casefold() != NONE.casefold()

    def cover(self, have: Size) -> Size:
        """What a picture of ``have`` pixels is enlarged to, before anything is cut."""
        if self.idle:
            return have
        scale = self.scale if self.size is None else max(self.size[0] / have[0], self.size[1] / have[1])
        width, height = (max(1, round(side * scale)) for side in have)
        return width, height

    def told(self, first: str, second: str, kinds: Sequence[str] = ()) -> str:
        """A1111's line about it.  first, second: upscalers' own names.  kinds: face restorers' architectures."""
        facts = {} if self.idle else self._enlarged(first, second)
        for kind, faces in zip(kinds, self.faces, strict=True):
            facts[f"{kind} visibility"] = f"{faces.visibility:g}"
            facts |= {f"{kind} weight": f"{faces.weight:g}"} if kind == "CodeFormer" else {}
        return ", ".join(f"{key}: {value}" for key, value in facts.items())

    def _enlarged(self, first: str, second: str) -> dict[str, str]:
        facts: dict[str, str] = {}
        if self.size is None:
            facts["Postprocess upscale by"] = f"{self.scale:g}"
        else:
            facts["Postprocess upscale to"] = f"{self.size[0]}x{self.size[1]}"
            facts |= {"Postprocess crop to": f"{self.size[0]}x{self.size[1]}"} if self.crop else {}
        facts["Postprocess upscaler"] = first
        return facts | ({"Postprocess upscaler 2": second} if self.blended else {})


def check(extras: Extras, limits: Limits) -> Extras:
    """Raises InvalidRequest naming the field."""
    if not extras.images:
        raise InvalidRequest("No picture was sent.", "Send one.", "images")
    if extras.size is None and not (math.isfinite(extras.scale) and 0 < extras.scale <= MAX_SCALE):
        raise InvalidRequest(f"scale is {extras.scale}; at most {MAX_SCALE:g} is done at once.", "Try 2.", "scale")
    if extras.size is not None and min(extras.size) < 1:
        raise InvalidRequest(f"A picture of {extras.size[0]}x{extras.size[1]} has no pixels.", "Try 1024.", "size")
    if not 0 <= extras.second_visibility <= 1:
        message = f"second_visibility is {extras.second_visibility}; it must lie between 0 and 1."
        raise InvalidRequest(message, "Try 0.5.", "second_visibility")
    for faces in extras.faces:
        for field in ("visibility", "weight"):
            if not 0 <= getattr(faces, field) <= 1:
                message = f"{field} of {faces.restorer[:80]} is {getattr(faces, field)}; it must lie between 0 and 1."
                raise InvalidRequest(message, "Try 0.5.", f"faces.{field}")
    for image in extras.images:
        width, height = extras.cover(image.size)
        if max(width, height) > limits.side:
            raise InvalidRequest(
                f"The picture would become {width}x{height}; at most {limits.side} pixels a side are made.",
                "Take a smaller scale or size.",
                "scale" if extras.size is None else "size",
            )
    return extras


def to_json(extras: Extras, keep: Keep) -> dict[str, Any]:
    """Plain JSON.  keep: stores a picture and returns the hash it is found by."""
    return {
        "images": [{HASH: keep(image)} for image in extras.images],
        "infotexts": list(extras.infotexts),
        "upscaler": extras.upscaler,
        "scale": extras.scale,
        "size": extras.size and list(extras.size),
        "crop": extras.crop,
        "second_upscaler": extras.second_upscaler,
        "second_visibility": extras.second_visibility,
        "faces": [asdict(one) for one in extras.faces],
        "upscale_first": extras.upscale_first,
    }


def from_json(values: Mapping[str, Any], find: Find) -> Extras:
    """What ``to_json`` wrote.  find: opens a picture by its hash.  Raises InvalidRequest if one is gone."""
    given = dict(values)
    size = given.pop("size")
    faces = tuple(FaceRestoration(**one) for one in given.pop("faces", ()))  # jobs that waited for this have none
    return Extras(
        images=tuple(find(reference("images", one)) for one in given.pop("images")),
        infotexts=tuple(given.pop("infotexts")),
        size=(size[0], size[1]) if size else None,
        faces=faces,
        **given,
    )
