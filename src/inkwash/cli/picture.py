"""``inkwash picture``: small tools, most of which need no model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from inkwash.cli.edits import load
from inkwash.cli.terminal import short
from inkwash.core.errors import InkwashError, InvalidRequest

if TYPE_CHECKING:
    from PIL.Image import Image

picture = typer.Typer(name="picture", help="Small tools for pictures.", no_args_is_help=True)

DEPTH_MODEL = "A depth model in models/depth; by default the first."
MODELS_DIR = "Where the models are."
DEVICE = "cpu, cuda, cuda:1, mps; by default the fastest there is."

Source = Annotated[Path, Argument(help="A picture.")]
Target = Annotated[Path, Argument(help="Where to save; .png, .jpg or .webp.")]


@picture.command()
def normal(
    source: Source,
    target: Target,
    strength: Annotated[float, Option(help="How steep the surface is.")] = 8.0,
    green_down: Annotated[bool, Option("--green-down", help="DirectX's direction instead of OpenGL's.")] = False,
    estimate: Annotated[bool, Option("--estimate", help="Of the picture's depth, as `depth` sees it.")] = False,
    model: Annotated[str | None, Option(help=DEPTH_MODEL)] = None,
    models_dir: Annotated[Path | None, Option(help=MODELS_DIR)] = None,
    device: Annotated[str | None, Option(help=DEVICE)] = None,
) -> None:
    """Make a normal map of a depth map, of a picture's lightness or of its estimated depth."""
    from inkwash.imaging.normals import normal_map

    _between("strength", strength, 0, 1000)
    if model is not None and not estimate:
        raise InvalidRequest("--model is for --estimate.", "Give --estimate as well, or leave it out.")
    see = _estimator(models_dir, model, device) if estimate else None
    _change(source, target, lambda image: normal_map(see(image) if see else image, strength, green_down=green_down))


@picture.command()
def depth(
    source: Source,
    target: Target,
    model: Annotated[str | None, Option(help=DEPTH_MODEL)] = None,
    models_dir: Annotated[Path | None, Option(help=MODELS_DIR)] = None,
    device: Annotated[str | None, Option(help=DEVICE)] = None,
) -> None:
    """Estimate how far away things are: a grey picture, near is bright."""
    see = _estimator(models_dir, model, device)
    _change(source, target, lambda image: see(image).convert("L"))


@picture.command()
def background(
    source: Source,
    target: Annotated[Path, Argument(help="Where to save; .png or .webp, which know transparency.")],
    model: Annotated[str | None, Option(help="A model in models/rembg; by default the first.")] = None,
    models_dir: Annotated[Path | None, Option(help=MODELS_DIR)] = None,
) -> None:
    """Make the background transparent, by a model that rembg users have (u2net.onnx, ...)."""
    from inkwash.core import settings
    from inkwash.imaging.background import find_cutter, load_cutter

    if target.suffix.lower() in (".jpg", ".jpeg"):
        raise InvalidRequest(f"{target} cannot be transparent: JPEG has no alpha.", "Save it as .png or .webp.")
    cut = load_cutter(find_cutter(models_dir or settings.load().models_dir, model))
    _change(source, target, cut)


def _estimator(models_dir: Path | None, name: str | None, device: str | None) -> Callable[[Image], Image]:
    """Raises InkwashError."""
    from inkwash.core import settings
    from inkwash.core.masks import flattened
    from inkwash.imaging.depth import find_estimator, load_estimator
    from inkwash.runtime.device import choose

    path = find_estimator(models_dir or settings.load().models_dir, name)
    estimator = load_estimator(path, choose(device))
    return lambda image: estimator(flattened(image))


@picture.command()
def flatten(
    source: Source, target: Target, colour: Annotated[str, Option(help='A name, or "#rrggbb".')] = "white"
) -> None:
    """Lay what is transparent over a colour."""
    from PIL import ImageColor

    from inkwash.core.masks import flattened

    try:
        red, green, blue = ImageColor.getrgb(colour)[:3]
    except ValueError:
        raise InvalidRequest(f"There is no colour {colour!r}.", 'Write a name, or "#rrggbb".') from None
    _change(source, target, lambda image: flattened(image, (red, green, blue)))


@picture.command()
def adjust(
    source: Source,
    target: Target,
    contrast: Annotated[float, Option(help="1: as it is, 0: grey.")] = 1.0,
    brightness: Annotated[float, Option(help="1: as it is, 0: black.")] = 1.0,
) -> None:
    """Change contrast and brightness."""
    from PIL import ImageEnhance

    from inkwash.core.masks import flattened

    _between("contrast", contrast, 0, 10)
    _between("brightness", brightness, 0, 10)

    def change(image: Image) -> Image:
        contrasted = ImageEnhance.Contrast(flattened(image)).enhance(contrast)
        return ImageEnhance.Brightness(contrasted).enhance(brightness)

    _change(source, target, change)


@picture.command()
def sharpness(sources: Annotated[list[Path], Argument(help="Pictures.")]) -> None:
    """Print each picture's sharpness, the sharpest first: the variance of its Laplacian."""
    from inkwash.imaging.sharpness import sharpness as measure

    found = [(measure(load(path)), path) for path in sources]
    for value, path in sorted(found, key=lambda pair: -pair[0]):
        print(f"{value:10.1f}  {short(path)}")


def _between(name: str, value: float, lowest: float, highest: float) -> None:
    if not (math.isfinite(value) and lowest <= value <= highest):
        raise InvalidRequest(f"--{name} is {value}; it must lie between {lowest} and {highest}.", "Try 1.")


def _change(source: Path, target: Path, change: Callable[[Image], Image]) -> None:
    """The target keeps the source's text, so that it can still be drawn again."""
    from inkwash.core import images

    if target.exists() and target.resolve() == source.resolve():
        raise InkwashError(f"{target} is the source itself.", "Give another name.")
    images.save(change(load(source)), target, images.read_metadata(source).infotext)
    print(f"Saved to {short(target.absolute())}")
