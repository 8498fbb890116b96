"""How a subject is drawn, and how a picture is spoiled.

Pixel art and wireframe are kept out on purpose: style adapters are to be trained on them later.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageChops, ImageFilter

# style -> (words in front of "a cat", tags, Chinese)
STYLES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "plain": ((), (), ()),
    "sticker": (
        ("a flat sticker of", "a sticker of", "a die-cut sticker of"),
        ("flat sticker", "sticker", "sticker style"),
        ("扁平贴纸", "贴纸风格", "贴纸"),
    ),
    "watercolour": (
        ("a watercolour of", "a watercolor painting of", "a watercolour painting of"),
        ("watercolour", "watercolor", "watercolor painting"),
        ("水彩画", "水彩风格", "水彩"),
    ),
    "ink": (
        ("an ink wash painting of", "a sumi-e painting of", "a chinese ink painting of"),
        ("ink wash", "ink wash painting", "sumi-e", "chinese ink painting"),
        ("水墨画", "国画", "水墨风格"),
    ),
    "line": (
        ("a line drawing of", "line art of", "a black and white line drawing of"),
        ("line art", "lineart", "line drawing", "outline"),
        ("线稿", "线条画", "简笔画"),
    ),
}
ON_PAPER = ("ink", "line")  # these styles leave the paper white: their scenes have a white background

# flaw -> (tags, Chinese)
FLAWS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "blur": (("blurry", "blurry, out of focus", "blurred"), ("模糊",)),
    "noise": (("noisy", "grainy", "film grain, noise"), ("噪点",)),
    "lowres": (("lowres", "low resolution", "lowres, upscaled"), ("低分辨率",)),
    "jpeg": (("jpeg artifacts", "compression artifacts", "jpeg artifacts, error"), ("压缩痕迹",)),
    "gray": (("monochrome", "grayscale", "((monochrome)),((grayscale))", "greyscale, monochrome"), ("黑白", "灰度")),
}


def draw_figure(glyph: Image.Image, style: str) -> Image.Image:
    """The RGBA glyph, drawn in ``style``, its margin included in the answer's size where the style adds one."""
    if style == "sticker":
        return _sticker(glyph)
    if style == "ink":
        return _ink(glyph)
    if style == "line":
        return _line(glyph)
    return glyph


def finish(picture: Image.Image, style: str, rng: np.random.Generator) -> Image.Image:
    """What a style does to the whole picture."""
    if style == "watercolour":
        return _watercolour(picture, rng)
    return picture


def spoil(picture: Image.Image, flaw: str, rng: np.random.Generator) -> Image.Image:
    """The picture with one flaw, strong enough to be seen at a glance."""
    side = picture.width
    if flaw == "blur":
        return picture.filter(ImageFilter.GaussianBlur(side * rng.uniform(0.014, 0.026)))
    if flaw == "noise":
        noise = rng.standard_normal((side, side, 1), dtype=np.float32) * rng.uniform(26, 46)
        return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))
    if flaw == "lowres":
        few = int(side / rng.uniform(4.5, 7))
        return picture.resize((few, few), Image.Resampling.BOX).resize((side, side), Image.Resampling.BILINEAR)
    if flaw == "jpeg":
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(3, 9)))
        return Image.open(file).convert("RGB")
    return picture.convert("L").convert("RGB")


def recolour(glyph: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Paint the glyph in shades of one colour; its darkest and lightest parts stay dark and light."""
    pixels = np.asarray(glyph, dtype=np.float32)
    light = (pixels[..., :3] @ np.array([0.299, 0.587, 0.114], dtype=np.float32))[..., None] / 255
    middle = float(np.median(light[pixels[..., 3] > 128]))
    middle = min(max(middle, 0.25), 0.8)
    tint = np.array(colour, dtype=np.float32)
    dark = tint * np.clip(light / middle, 0, 1) ** 0.8
    bright = np.clip((light - middle) / (1 - middle), 0, 1) * 0.75
    shaded = dark + (255 - dark) * bright
    return Image.fromarray(np.concatenate([shaded, pixels[..., 3:]], axis=2).astype(np.uint8))


def _grown(alpha: Image.Image, pixels: int) -> Image.Image:
    return alpha.filter(ImageFilter.MaxFilter(2 * pixels + 1))


def _sticker(glyph: Image.Image) -> Image.Image:
    """A white rim around the glyph and a soft shadow under it."""
    rim = max(2, round(max(glyph.size) * 0.05))
    wide = Image.new("RGBA", (glyph.width + 4 * rim, glyph.height + 4 * rim))
    wide.paste(glyph, (2 * rim, 2 * rim), glyph)
    outline = _grown(wide.getchannel("A").point(lambda a: 255 * (a > 80)), rim).filter(ImageFilter.GaussianBlur(0.6))
    shadow = ImageChops.offset(outline, 0, max(1, rim // 2)).filter(ImageFilter.GaussianBlur(rim / 2))
    card = Image.merge("RGBA", [Image.new("L", wide.size, 40)] * 3 + [shadow.point(lambda a: a // 2)])
    card.paste(Image.new("RGBA", wide.size, "white"), (0, 0), outline)
    card.paste(wide, (0, 0), wide)
    return card


def _ink(glyph: Image.Image) -> Image.Image:
    """Grey washes with a dark, slightly bleeding contour."""
    light = np.asarray(glyph.convert("L"), dtype=np.float32)
    alpha = glyph.getchannel("A")
    washed = 60 + 0.72 * light
    contour = np.asarray(_edges(glyph).filter(ImageFilter.GaussianBlur(1.0)), dtype=np.float32) / 255
    grey = Image.fromarray(np.clip(washed * (1 - 0.85 * np.clip(contour * 1.6, 0, 1)), 0, 255).astype(np.uint8))
    return Image.merge("RGBA", [grey, grey, grey, alpha.filter(ImageFilter.GaussianBlur(0.8))])


def _line(glyph: Image.Image) -> Image.Image:
    """Black contours on white, nothing else."""
    ink = ImageChops.invert(_edges(glyph).point(lambda v: min(255, int(v * 1.5))))
    return Image.merge("RGBA", [ink, ink, ink, glyph.getchannel("A").point(lambda a: 255 * (a > 0))])


def _edges(glyph: Image.Image) -> Image.Image:
    """Strength 0..255 of the changes of colour and of the outline, a line of one or two pixels."""
    flat = Image.new("RGBA", glyph.size, "white")
    flat.paste(glyph, (0, 0), glyph)
    inner = ImageChops.subtract(
        flat.convert("L").filter(ImageFilter.MaxFilter(3)), flat.convert("L").filter(ImageFilter.MinFilter(3))
    )
    alpha = glyph.getchannel("A")
    rim = ImageChops.subtract(alpha, alpha.filter(ImageFilter.MinFilter(3)))
    return ImageChops.lighter(inner, rim)


def _watercolour(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Smoothed patches, darker at their borders, thinned by paper that shows through unevenly."""
    side = picture.width
    smooth = picture.filter(ImageFilter.MedianFilter(5))
    soft = np.asarray(smooth.filter(ImageFilter.GaussianBlur(side / 64)), dtype=np.float32)
    pixels = np.asarray(smooth, dtype=np.float32)
    pixels = pixels + np.minimum(pixels - soft, 0) * 0.7
    coarse = rng.random((8, 8), dtype=np.float32)
    cloud = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    paper = 0.1 + 0.22 * np.asarray(cloud, dtype=np.float32)[..., None]
    grain = rng.standard_normal((side, side, 1), dtype=np.float32) * 3
    thinned = pixels + (np.array([252, 248, 238]) - pixels) * paper + grain
    return Image.fromarray(np.clip(thinned, 0, 255).astype(np.uint8))
