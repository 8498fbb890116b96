"""Masks: grey pictures ("L") that are 255 where something is redrawn and 0 where it must not change."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest

Box = tuple[int, int, int, int]  # left, top, right, bottom

HALF = 128


def as_mask(image: Image.Image, *, invert: bool = False, soft: bool = False) -> Image.Image:
    """Any picture as a mask: bright is 255.  Of a drawing on transparency only the opaque part counts.

    soft: greys are kept; otherwise they become black or white.
    """
    if "A" in image.getbands():
        image = flattened(image, (0, 0, 0))
    grey = image.convert("L")
    if not soft:
        grey = grey.point(lambda level: 255 if level >= HALF else 0)
    return ImageOps.invert(grey) if invert else grey


def request_mask(request: GenerateRequest) -> Image.Image | None:
    """The request's mask as drawn with: inverted if asked; its greys only where they count."""
    if request.mask is None:
        return None
    return as_mask(request.mask, invert=request.mask_invert, soft=greys_count(request))


def greys_count(request: GenerateRequest) -> bool:
    return request.soft_inpainting is not None or not request.mask_round


def alpha_mask(image: Image.Image) -> Image.Image:
    """White where the picture is transparent: what was rubbed out is to be drawn."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return Image.new("L", image.size, 0)
    return ImageOps.invert(image.convert("RGBA").getchannel("A"))


def flattened(image: Image.Image, colour: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """RGB, with what is transparent laid over a colour."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    over = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*colour, 255)), over).convert("RGB")


def doubled(mask: Image.Image) -> Image.Image:
    """The share of the new picture that A1111 pastes by a mask with greys: all of it from half a grey on."""
    return mask.point(lambda level: min(255, 2 * level))


def feathered(mask: Image.Image, blur: float, down: float | None = None) -> Image.Image:
    """The share of the new picture when it is pasted: rises from the mask's edge inwards and is 0 outside of it.

    blur, down: the Gaussian's standard deviation in pixels, across and downwards (None: the same).  A blurred edge is
    a half where the mask begins; that half is taken off, so that what the mask leaves alone stays as it was, bit for
    bit.
    """
    radii = blur, blur if down is None else down
    if max(radii) <= 0:
        return mask
    margin = int(3 * max(radii)) + 1
    grown = np.pad(np.asarray(mask), margin, mode="edge")  # the picture's own border is no edge of the mask
    blurred = np.asarray(Image.fromarray(grown).filter(ImageFilter.GaussianBlur(radii)), dtype=np.float32)
    inner = blurred[margin:-margin, margin:-margin]
    share = np.clip(2 * inner - 255, 0, 255)
    return Image.fromarray(np.minimum(share, np.asarray(mask)).round().astype(np.uint8))


def bounds(mask: Image.Image, padding: int, size: tuple[int, int]) -> Box | None:
    """The part of the picture to draw for "only masked": the mask's box, padded, in ``size``'s proportions.

    Widened within the picture where there is room; None if the mask is black.
    """
    box = mask.getbbox()
    if box is None:
        return None
    left, top, right, bottom = box
    left, top = max(0, left - padding), max(0, top - padding)
    right, bottom = min(mask.width, right + padding), min(mask.height, bottom + padding)
    width, height = right - left, bottom - top
    if width * size[1] < height * size[0]:
        left, right = _widened(left, right, round(height * size[0] / size[1]), mask.width)
    else:
        top, bottom = _widened(top, bottom, round(width * size[1] / size[0]), mask.height)
    return left, top, right, bottom


def _widened(start: int, end: int, length: int, room: int) -> tuple[int, int]:
    """The span widened on both sides alike to ``length``, moved or cut to lie in 0..room."""
    length = min(max(length, end - start), room)
    start = min(max(0, start - (length - (end - start)) // 2), room - length)
    return start, start + length


def extended(image: Image.Image, sides: tuple[int, int, int, int], overlap: int) -> tuple[Image.Image, Image.Image]:
    """The picture with room on some sides, and the mask of that room: what outpainting draws on.

    sides: pixels to add left, up, right and down; what is added is rounded up so that the whole is a multiple of 8.
    overlap: pixels of the old picture beside the room that are masked too.  Raises InvalidRequest.
    """
    if min(*sides, overlap) < 0 or not any(sides):
        raise InvalidRequest(f"{sides} are no sides to draw on.", "Add pixels to at least one side, for example 128.")
    source = flattened(image)
    left, up, right, down = sides
    left, right = _rounded_up(left, right, source.width)
    up, down = _rounded_up(up, down, source.height)
    whole = np.pad(np.asarray(source), ((up, down), (left, right), (0, 0)), mode="edge")
    mask = np.full(whole.shape[:2], 255, dtype=np.uint8)
    inner = [overlap if side else 0 for side in (left, up, right, down)]
    kept_rows = slice(up + inner[1], up + source.height - inner[3])
    kept_columns = slice(left + inner[0], left + source.width - inner[2])
    mask[kept_rows, kept_columns] = 0
    return Image.fromarray(whole), Image.fromarray(mask)


def _rounded_up(before: int, after: int, side: int) -> tuple[int, int]:
    """More room on the side that gets any (after, if both or neither do), for a multiple of 8."""
    missing = -(before + side + after) % 8
    return (before + missing, after) if before and not after else (before, after + missing)
