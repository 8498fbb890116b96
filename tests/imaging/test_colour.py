import numpy as np
from PIL import Image, ImageCms

from inkwash.imaging.colour import from_lab, match_colours, match_histogram, to_lab

RANDOM = np.random.default_rng(2)
COLOURS = RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_cielab_equals_littlecms() -> None:
    """Its Lab is of D50 white and 8 bits: neutral greys agree in L, and every colour comes back."""
    profile = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("LAB"), "RGB", "LAB")
    greys = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[None, :, None], 3, axis=2)
    theirs = np.asarray(ImageCms.applyTransform(Image.fromarray(greys), transform))[..., 0] / 255 * 100
    assert np.abs(to_lab(greys)[..., 0] - theirs).max() < 0.5
    assert np.abs(to_lab(greys)[..., 1:]).max() < 0.02


def test_known_colours() -> None:
    """Red and blue of sRGB, as published for D65."""
    lab = to_lab(np.array([[255, 0, 0], [0, 0, 255]], dtype=np.uint8))
    assert np.allclose(lab, [[53.24, 80.09, 67.20], [32.30, 79.19, -107.86]], atol=0.05)


def test_lab_comes_back() -> None:
    assert (from_lab(to_lab(COLOURS)) == COLOURS).all()


def test_a_matched_histogram_is_the_models() -> None:
    values, model = RANDOM.normal(size=4000), RANDOM.gamma(2.0, size=4000)
    matched = match_histogram(values, model)
    assert np.allclose(np.sort(matched), np.sort(model))
    assert (np.argsort(matched) == np.argsort(values)).all()


def test_colours_are_the_models_and_lightness_the_pictures_own() -> None:
    model = Image.fromarray((COLOURS * np.array([1.0, 0.5, 0.3])).astype(np.uint8))
    grey = Image.fromarray(COLOURS).convert("L").point(lambda level: 64 + level // 2).convert("RGB")
    matched = to_lab(np.asarray(match_colours(Image.fromarray(COLOURS // 2 + 64), model)))
    assert np.abs(matched[..., 1:].mean((0, 1)) - to_lab(np.asarray(model))[..., 1:].mean((0, 1))).max() < 4
    assert match_colours(grey, grey).tobytes() == grey.tobytes()
