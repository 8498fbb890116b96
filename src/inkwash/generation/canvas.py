"""A request's pictures made ready to be drawn on, and the drawn put back where it belongs.  No tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops

from inkwash.core.errors import InvalidRequest
from inkwash.core.masks import HALF, Box, as_mask, bounds, doubled, feathered, flattened, greys_count, request_mask
from inkwash.core.request import GenerateRequest, ResizeMode
from inkwash.core.resizing import Size, resize, whole_eighths
from inkwash.imaging.colour import match_colours
from inkwash.imaging.fill import fill
from inkwash.imaging.join import joined


@dataclass(frozen=True, eq=False)
class Canvas:
    """What one request draws on.

    picture: RGB, what the latents start from, at the drawing size, or what is enlarged to that size; own: it at its own
    size, for resize mode "latent".
    mask, depth: "L" of the drawing size; an estimated depth is "F".  whole, share: the picture the drawn part is pasted
    into and its share there, "L"; box: where, for "only masked".  colours: whose colours the result takes.
    """

    picture: Image.Image
    own: Image.Image | None = None
    mask: Image.Image | None = None
    depth: Image.Image | None = None
    whole: Image.Image | None = None
    share: Image.Image | None = None
    box: Box | None = None
    colours: Image.Image | None = None

    def finish(self, drawn: Image.Image, moved: Image.Image | None = None) -> Image.Image:
        """The picture a person gets: colours corrected, and every pixel the mask leaves alone as it was, bit for bit.

        moved: for soft inpainting, "L" of any size: where the picture has become another.
        """
        if self.colours is not None:
            drawn = match_colours(drawn, self.colours)
        if self.whole is None or self.share is None:
            return drawn
        if self.box is not None:
            return self._pasted(drawn, moved, self.whole, self.share, self.box)
        whole, share = resize(self.whole, drawn.size), resize(self.share, drawn.size)  # a hires pass enlarged it
        return self._pasted(drawn, moved, whole, share, (0, 0, *drawn.size))

    def _pasted(
        self, drawn: Image.Image, moved: Image.Image | None, whole: Image.Image, share: Image.Image, box: Box
    ) -> Image.Image:
        size = box[2] - box[0], box[3] - box[1]
        part = share.crop(box)
        if moved is not None:
            part = _least(part, moved.resize(size, Image.Resampling.BICUBIC))
        result = whole.copy()
        result.paste(joined(resize(drawn, size), whole.crop(box), part), box[:2], part)
        return result


def _least(share: Image.Image, moved: Image.Image) -> Image.Image:
    """``moved`` wherever the mask has any share at all; nothing where it has none."""
    allowed = np.asarray(share) > 0
    return Image.fromarray(np.where(allowed, np.asarray(moved), 0).astype(np.uint8))


def canvas_of(request: GenerateRequest, enlarges: int = 1, estimated: Image.Image | None = None) -> Canvas | None:
    """request: settled.  None if it starts from noise alone.  Raises InvalidRequest.

    enlarges: how many times the picture's side grows by a model made for that, which takes no mask.  estimated: a depth
    map where the request has none, mode "F" of the picture's size.
    """
    if request.init_image is None:
        return None
    if enlarges > 1:
        return _small(request, enlarges)
    source, mask, size = flattened(request.init_image), request_mask(request), drawing_size(request)
    if mask is None:
        fit = _fitting(request, size, None)
        picture = fit(source)
        return Canvas(
            picture,
            own=_own(request, source),
            depth=_depth(request, estimated, fit),
            colours=_colours(request, picture),
        )
    if mask.getbbox() is None:
        raise InvalidRequest("The mask is all black, so there is nothing to redraw.", "Paint white what is to change.")
    latent = mask if request.latent_mask is None else as_mask(request.latent_mask, soft=greys_count(request))
    box = bounds(mask, request.only_masked_padding, size) if request.only_masked else None
    fit = _fitting(request, size, box)
    picture, fitted, redrawn = fit(source), _crisp(fit(mask), request), _crisp(fit(latent), request)
    return Canvas(
        picture=_filled(request, picture, redrawn),
        own=_own(request, source) if request.inpainting_fill != "fill" else None,
        mask=_feathered(redrawn, request) if request.soft_inpainting else redrawn,
        depth=_depth(request, estimated, fit),
        whole=source if box else picture,
        share=_pasted(mask if box else fitted, request),
        box=box,
        colours=_colours(request, picture),
    )


def _small(request: GenerateRequest, enlarges: int) -> Canvas:
    """The picture at the size from which it grows to the drawing's."""
    assert request.init_image is not None
    width, height = drawing_size(request)
    picture = _fitting(request, (width // enlarges, height // enlarges), None)(flattened(request.init_image))
    return Canvas(picture, colours=_colours(request, picture))


def enlarged(request: GenerateRequest, large: Image.Image) -> GenerateRequest:
    """The request with its picture enlarged, and whatever lies over it."""
    over = request.mask, request.latent_mask, request.depth
    mask, latent_mask, depth = (image and resize(image, large.size) for image in over)
    return dataclasses.replace(request, init_image=large, mask=mask, latent_mask=latent_mask, depth=depth)


def drawing_size(request: GenerateRequest) -> Size:
    """request: settled.  Pixels of the first pass."""
    assert request.width is not None
    assert request.height is not None
    return request.width, request.height


Fit = Callable[[Image.Image], Image.Image]


def _fitting(request: GenerateRequest, size: Size, box: Box | None) -> Fit:
    """How every picture of the request comes to the drawing size."""
    if box is not None:
        return lambda image: resize(image.crop(box), size, "resize and fill")
    mode: ResizeMode = "just resize" if request.resize_mode == "latent" else request.resize_mode
    return lambda image: resize(image, size, mode)


def _own(request: GenerateRequest, source: Image.Image) -> Image.Image | None:
    """Resize mode "latent" encodes the picture as it is and resizes what comes out."""
    if request.resize_mode != "latent" or request.only_masked:
        return None
    return resize(source, whole_eighths(source.size))


def _depth(request: GenerateRequest, estimated: Image.Image | None, fit: Fit) -> Image.Image | None:
    given = estimated if request.depth is None else request.depth.convert("L")
    return None if given is None else fit(given)


def _colours(request: GenerateRequest, picture: Image.Image) -> Image.Image | None:
    return picture if request.color_correction else None


def _feathered(mask: Image.Image, request: GenerateRequest) -> Image.Image:
    return feathered(mask, request.mask_blur, request.mask_blur_y)


def _pasted(mask: Image.Image, request: GenerateRequest) -> Image.Image:
    """The share of the new picture in the result; never any where the mask is black."""
    if request.mask_round or request.soft_inpainting:
        return _feathered(mask, request)
    solid = _feathered(mask.point(lambda level: 255 if level else 0), request)
    return ImageChops.darker(solid, doubled(mask))


def _crisp(mask: Image.Image, request: GenerateRequest) -> Image.Image:
    """Resizing made greys of the edges, which are kept only where greys count."""
    return mask if greys_count(request) else mask.point(lambda level: 255 if level >= HALF else 0)


def _filled(request: GenerateRequest, picture: Image.Image, mask: Image.Image) -> Image.Image:
    return fill(picture, mask) if request.inpainting_fill == "fill" else picture
