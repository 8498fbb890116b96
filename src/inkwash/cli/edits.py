"""``inkwash img2img``, ``inpaint``, ``outpaint`` and ``refine``: pictures from a picture, or from each of a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument

from inkwash.cli.flags import request_of, sharing
from inkwash.cli.txt2img import flag, txt2img
from inkwash.core.choices import INPAINTING_FILLS, PICTURE_UPSCALERS, RESIZE_MODES, UPSCALERS, choose
from inkwash.core.errors import InkwashError, InvalidRequest
from inkwash.core.parameters import help_of
from inkwash.core.request import GenerateRequest, HiresPass, NoiseInversion, SDUpscale, SoftInpainting, TiledDiffusion

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT, SOFT, INVERSION, UPSCALE = GenerateRequest(), SoftInpainting(), NoiseInversion(), SDUpscale()
SOURCE, MASKED, SIDES, ENLARGING, INVERTING = "Source", "Mask", "Sides", "Enlarging", "Noise inversion"

Picture = Annotated[Path, Argument(help="A picture, or a folder of pictures.")]
Words = Annotated[str, Argument(help="What the picture shows.")]
Strength = Annotated[float, flag(SOURCE, help_of("denoising_strength"), "--strength", "-d")]
Fill = Annotated[str, flag(MASKED, f"What the masked part starts from: {', '.join(INPAINTING_FILLS)}.")]
Blur = Annotated[float, flag(MASKED, help_of("mask_blur"))]
Keep = Annotated[
    bool,
    flag(SOURCE, "A copy of the source in outputs/init-images, for inspect.", "--keep-source/--no-keep-source"),
]


# What of txt2img's flags a command has that takes all else from the picture.
SAVING = (
    "models_dir", "device", "dtype", "memory_policy", "memory_limit", "out", "pattern", "format", "quality",
    "save_steps", "as_json",
)  # fmt: skip


@sharing(txt2img)
def img2img(
    context: typer.Context,
    picture: Picture,
    prompt: Words = "",
    strength: Strength = 0.75,
    resize_mode: Annotated[str, flag(SOURCE, f"{', '.join(RESIZE_MODES)}.")] = DEFAULT.resize_mode,
    exact_steps: Annotated[bool, flag(SOURCE, help_of("exact_steps"), "--exact-steps")] = False,
    initial_noise_multiplier: Annotated[
        float, flag(SOURCE, help_of("initial_noise_multiplier"))
    ] = DEFAULT.initial_noise_multiplier,
    color_correction: Annotated[bool, flag(SOURCE, help_of("color_correction"), "--color-correction")] = False,
    noise_level: Annotated[int, flag(SOURCE, help_of("noise_level"))] = DEFAULT.noise_level,
    depth: Annotated[Path | None, flag(SOURCE, help_of("depth"))] = None,
    loopback: Annotated[int, flag(SOURCE, "So many times, each from the one before.")] = 1,
    tile_upscaler: Annotated[
        str | None,
        flag(ENLARGING, f"Enlarge, then redraw all of it in tiles: {', '.join(PICTURE_UPSCALERS)}, or a file."),
    ] = None,
    tile_scale: Annotated[float, flag(ENLARGING, help_of("tiled.scale"))] = TiledDiffusion().scale,
    sd_upscale: Annotated[float | None, flag(ENLARGING, "Enlarge so many times, then redraw tile by tile.")] = None,
    sd_upscale_by: Annotated[str, flag(ENLARGING, f"{', '.join(PICTURE_UPSCALERS)}, or a file.")] = UPSCALE.upscaler,
    sd_upscale_overlap: Annotated[int, flag(ENLARGING, help_of("sd_upscale.overlap"))] = UPSCALE.overlap,
    noise_inversion: Annotated[bool, flag(INVERTING, help_of("noise_inversion.enabled"), "--noise-inversion")] = False,
    inversion_steps: Annotated[int, flag(INVERTING, help_of("noise_inversion.steps"))] = INVERSION.steps,
    inversion_retouch: Annotated[float, flag(INVERTING, help_of("noise_inversion.retouch"))] = INVERSION.retouch,
    inversion_renoise_strength: Annotated[
        float, flag(INVERTING, help_of("noise_inversion.renoise_strength"))
    ] = INVERSION.renoise_strength,
    inversion_renoise_kernel: Annotated[
        int, flag(INVERTING, help_of("noise_inversion.renoise_kernel"))
    ] = INVERSION.renoise_kernel,
    keep_source: Keep = True,
    **drawing: Any,
) -> None:
    """Draw a picture anew from a picture."""
    upscale = SDUpscale(upscaler=sd_upscale_by, scale=sd_upscale or 0.0, overlap=sd_upscale_overlap)
    inversion = NoiseInversion(
        steps=inversion_steps,
        retouch=inversion_retouch,
        renoise_strength=inversion_renoise_strength,
        renoise_kernel=inversion_renoise_kernel,
    )
    more = {
        "prompt": prompt,
        "denoising_strength": strength,
        "resize_mode": choose("resize mode", resize_mode, RESIZE_MODES),
        "exact_steps": exact_steps,
        "initial_noise_multiplier": initial_noise_multiplier,
        "color_correction": color_correction,
        "noise_level": noise_level,
        "sd_upscale": None if sd_upscale is None else upscale,
        "noise_inversion": inversion if noise_inversion else None,
    }
    base = request_of({**drawing, "tile_upscaler": tile_upscaler, "tile_scale": tile_scale}, **more)

    def order(path: Path) -> GenerateRequest:
        return dataclasses.replace(base, init_image=load(path), depth=load(depth) if depth else None)

    _run(context, picture, order, drawing, keep_source, loopback)


@sharing(txt2img)
def inpaint(
    context: typer.Context,
    picture: Picture,
    prompt: Words = "",
    mask: Annotated[
        Path | None, flag(MASKED, "White is redrawn; for a folder of pictures, a folder of the same names.")
    ] = None,
    mask_alpha: Annotated[bool, flag(MASKED, "Redraw what is transparent.", "--mask-alpha")] = False,
    mask_invert: Annotated[bool, flag(MASKED, help_of("mask_invert"), "--mask-invert")] = False,
    mask_blur: Blur = DEFAULT.mask_blur,
    inpainting_fill: Fill = DEFAULT.inpainting_fill,
    only_masked: Annotated[bool, flag(MASKED, help_of("only_masked"), "--only-masked")] = False,
    only_masked_padding: Annotated[int, flag(MASKED, help_of("only_masked_padding"))] = DEFAULT.only_masked_padding,
    soft: Annotated[bool, flag(MASKED, "Soft inpainting: greys of the mask mix old and new.", "--soft")] = False,
    soft_schedule_bias: Annotated[float, flag(MASKED, help_of("soft_inpainting.schedule_bias"))] = SOFT.schedule_bias,
    soft_preservation_strength: Annotated[
        float, flag(MASKED, help_of("soft_inpainting.preservation_strength"))
    ] = SOFT.preservation_strength,
    soft_transition_contrast: Annotated[
        float, flag(MASKED, help_of("soft_inpainting.transition_contrast"))
    ] = SOFT.transition_contrast,
    soft_mask_influence: Annotated[
        float, flag(MASKED, help_of("soft_inpainting.mask_influence"))
    ] = SOFT.mask_influence,
    soft_difference_threshold: Annotated[
        float, flag(MASKED, help_of("soft_inpainting.difference_threshold"))
    ] = SOFT.difference_threshold,
    soft_difference_contrast: Annotated[
        float, flag(MASKED, help_of("soft_inpainting.difference_contrast"))
    ] = SOFT.difference_contrast,
    strength: Strength = 0.75,
    resize_mode: Annotated[str, flag(SOURCE, f"{', '.join(RESIZE_MODES)}.")] = DEFAULT.resize_mode,
    keep_source: Keep = True,
    **drawing: Any,
) -> None:
    """Redraw a part of a picture; the rest comes back bit for bit."""
    flags = {**drawing, **{name: value for name, value in locals().items() if name != "drawing"}}
    if (mask is None) is not mask_alpha:
        raise InvalidRequest("Which part is to be redrawn?", "Give either --mask FILE or --mask-alpha.")
    base = inpainting_of(flags)

    def order(path: Path) -> GenerateRequest:
        from inkwash.core.masks import alpha_mask

        image = load(path)
        painted = alpha_mask(image) if mask is None else load(mask / path.name if mask.is_dir() else mask)
        return dataclasses.replace(base, init_image=image, mask=painted)

    _run(context, picture, order, drawing, keep_source)


def inpainting_of(flags: Mapping[str, Any]) -> GenerateRequest:
    """The request that ``inpaint``'s flags describe, without its pictures.  Raises InvalidRequest."""
    knobs = {field.name: flags[f"soft_{field.name}"] for field in dataclasses.fields(SoftInpainting)}
    return request_of(
        flags,
        denoising_strength=flags["strength"],
        resize_mode=choose("resize mode", flags["resize_mode"], RESIZE_MODES),
        inpainting_fill=choose("masked content", flags["inpainting_fill"], INPAINTING_FILLS),
        soft_inpainting=SoftInpainting(**knobs) if flags["soft"] else None,
        mask=None,
    )


@sharing(txt2img)
def outpaint(
    context: typer.Context,
    picture: Picture,
    prompt: Words = "",
    left: Annotated[int, flag(SIDES, "Pixels to add.")] = 0,
    right: Annotated[int, flag(SIDES, "Likewise.")] = 0,
    up: Annotated[int, flag(SIDES, "Likewise.")] = 0,
    down: Annotated[int, flag(SIDES, "Likewise.")] = 0,
    overlap: Annotated[int, flag(SIDES, "Pixels of the picture that are redrawn, so that old and new meet.")] = 16,
    mask_blur: Blur = 8.0,
    inpainting_fill: Fill = "fill",
    strength: Strength = 0.9,
    keep_source: Keep = True,
    **drawing: Any,
) -> None:
    """Draw on beyond a picture's edges."""
    more = {
        "prompt": prompt,
        "denoising_strength": strength,
        "mask_blur": mask_blur,
        "inpainting_fill": choose("masked content", inpainting_fill, INPAINTING_FILLS),
    }
    base = request_of(drawing, **more)

    def order(path: Path) -> GenerateRequest:
        from inkwash.core.masks import extended

        image, mask = extended(load(path), (left, up, right, down), overlap)
        return dataclasses.replace(base, init_image=image, mask=mask)

    _run(context, picture, order, drawing, keep_source)


@sharing(txt2img, (*SAVING, "restore_faces"))
def refine(
    context: typer.Context,
    picture: Annotated[Path, Argument(help="A picture that says how it was drawn, or a folder of them.")],
    scale: Annotated[float, flag(SOURCE, "Times the picture's size.")] = 2.0,
    upscaler: Annotated[str, flag(SOURCE, f"{', '.join(UPSCALERS)}, or a file.")] = "Lanczos",
    strength: Annotated[float, flag(SOURCE, "0: only enlarge.", "--strength", "-d")] = 0.5,
    second_steps: Annotated[int, flag(SOURCE, "0: as many as the picture had.")] = 0,
    keep_source: Keep = True,
    **drawing: Any,
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
        plain = dataclasses.replace(plain, restore_faces=drawing["restore_faces"] or known.restore_faces)
        return dataclasses.replace(plain, init_image=load(path), denoising_strength=0.0, hires=second)

    _run(context, picture, order, drawing, keep_source)


def load(path: Path) -> Image:
    """A picture from a file, the right way up."""
    from inkwash.core import images

    return images.load(path)


def _run(
    context: typer.Context, picture: Path, order: Any, drawing: dict[str, Any], keep_source: bool, loops: int = 1
) -> None:
    from inkwash.cli.batch import Batch

    raise typer.Exit(Batch(context, drawing, keep_source, loops).run(picture, order))
