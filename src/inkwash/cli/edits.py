"""``inkwash img2img``, ``inpaint``, ``outpaint`` and ``refine``: pictures from a picture, or from each of a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument

from inkwash.cli.asking import request_of
from inkwash.cli.flags import option, takes
from inkwash.cli.panels import DRAWING, ENGINE, FACES, OUTPUT, listed
from inkwash.cli.panels_edits import (
    ENLARGING,
    EXTENDING,
    INVERTING,
    KEEP,
    MASKED,
    NOISING,
    REDRAWING,
    SOURCE,
)
from inkwash.core.choices import UPSCALERS
from inkwash.core.errors import InkwashError, InvalidRequest
from inkwash.core.request import GenerateRequest, HiresPass

if TYPE_CHECKING:
    from PIL.Image import Image

SIDES = "Sides"

Picture = Annotated[Path, Argument(help="A picture, or a folder of pictures.")]
Words = Annotated[str, Argument(help="What the picture shows.")]


@takes(REDRAWING, NOISING, ENLARGING, INVERTING, KEEP, DRAWING)
def img2img(
    context: typer.Context, picture: Picture, prompt: Words = "", *, depth: Path | None, loopback: int, **flags: Any
) -> None:
    """Draw a picture anew from a picture."""
    base = request_of(flags, prompt=prompt)

    def order(path: Path) -> GenerateRequest:
        return dataclasses.replace(base, init_image=load(path), depth=load(depth) if depth else None)

    _run(context, picture, order, flags, loopback)


@takes(MASKED, REDRAWING, KEEP, DRAWING)
def inpaint(
    context: typer.Context,
    picture: Picture,
    prompt: Words = "",
    *,
    mask: Path | None,
    mask_alpha: bool,
    latent_mask: Path | None,
    **flags: Any,
) -> None:
    """Redraw a part of a picture; the rest comes back bit for bit."""
    check_mask(mask, mask_alpha)
    base = request_of(flags, prompt=prompt)

    def order(path: Path) -> GenerateRequest:
        from inkwash.core.masks import alpha_mask

        image, latent = load(path), beside(latent_mask, path) if latent_mask else None
        painted = alpha_mask(image) if mask is None else beside(mask, path)
        return dataclasses.replace(base, init_image=image, mask=painted, latent_mask=latent)

    _run(context, picture, order, flags)


def check_mask(mask: Path | None, mask_alpha: bool) -> None:
    """Raises InvalidRequest unless one of them says what is redrawn."""
    if (mask is None) is not mask_alpha:
        raise InvalidRequest("Which part is to be redrawn?", "Give either --mask FILE or --mask-alpha.")


@takes(EXTENDING, KEEP, DRAWING)
def outpaint(
    context: typer.Context,
    picture: Picture,
    prompt: Words = "",
    left: Annotated[int, option(SIDES, "Pixels to add.")] = 0,
    right: Annotated[int, option(SIDES, "Likewise.")] = 0,
    up: Annotated[int, option(SIDES, "Likewise.")] = 0,
    down: Annotated[int, option(SIDES, "Likewise.")] = 0,
    overlap: Annotated[int, option(SIDES, "Pixels of the picture that are redrawn, so that old and new meet.")] = 16,
    **flags: Any,
) -> None:
    """Draw on beyond a picture's edges."""
    base = request_of(flags, prompt=prompt)

    def order(path: Path) -> GenerateRequest:
        from inkwash.core.masks import extended

        image, mask = extended(load(path), (left, up, right, down), overlap)
        return dataclasses.replace(base, init_image=image, mask=mask)

    _run(context, picture, order, flags)


@takes(FACES[:1], KEEP, ENGINE, OUTPUT)
def refine(
    context: typer.Context,
    picture: Annotated[Path, Argument(help="A picture that says how it was drawn, or a folder of them.")],
    scale: Annotated[float, option(SOURCE, "Times the picture's size.")] = 2.0,
    upscaler: Annotated[str, option(SOURCE, listed(UPSCALERS, ", or a file"))] = "Lanczos",
    strength: Annotated[float, option(SOURCE, "0: only enlarge.", "--strength", "-d")] = 0.5,
    second_steps: Annotated[int, option(SOURCE, "0: as many as the picture had.")] = 0,
    **flags: Any,
) -> None:
    """Enlarge a picture and draw on it, with the prompt, seed, model and all else that its metadata names."""
    second = HiresPass(scale=scale, upscaler=upscaler, denoising_strength=strength, steps=second_steps)

    def order(path: Path) -> GenerateRequest:
        from inkwash.core import images, infotext

        text = images.read_metadata(path).infotext
        if not infotext.parse(text).parameters:
            raise InkwashError(f"{path} does not say how it was drawn.", "Use inkwash img2img, with a prompt.")
        known = infotext.to_request(infotext.parse(text))
        plain = dataclasses.replace(
            known,
            width=None,
            height=None,
            mask_invert=False,
            only_masked=False,
            soft_inpainting=None,
            exact_steps=False,
            sd_upscale=None,
            noise_inversion=None,
            tiled=known.tiled and dataclasses.replace(known.tiled, upscaler=None),
        )
        plain = dataclasses.replace(plain, restore_faces=flags["restore_faces"] or known.restore_faces)
        return dataclasses.replace(plain, init_image=load(path), denoising_strength=0.0, hires=second)

    _run(context, picture, order, flags)


def load(path: Path) -> Image:
    """A picture from a file, the right way up."""
    from inkwash.core import images

    return images.load(path)


def beside(masks: Path, picture: Path) -> Image:
    """The mask, or of a folder of masks the one that has the picture's name."""
    return load(masks / picture.name if masks.is_dir() else masks)


def _run(context: typer.Context, picture: Path, order: Any, flags: dict[str, Any], loops: int = 1) -> None:
    from inkwash.cli.batch import Batch

    raise typer.Exit(Batch(context, flags, loops).run(picture, order))
