"""A1111's second pass, refiner and picture to picture, as fields of a GenerateRequest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from inkwash.core.choices import INPAINTING_FILLS, RESIZE_MODES
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest, HiresPass, SoftInpainting
from inkwash.server.a1111.schema import Drawing, Img2Img, Txt2Img
from inkwash.server.a1111.series import with_seed

OFF = ("", "none")
SAME = ("", "use same checkpoint", "use same sampler", "use same scheduler")
MOST_PICTURES = 256  # that one request starts from
SOFT = "soft inpainting"
_LABELS = (
    "Schedule bias", "Preservation strength", "Transition contrast boost", "Mask influence", "Difference threshold",
    "Difference contrast",
)  # fmt: skip

Open = Callable[[str], Image.Image]


def refiner(body: Drawing) -> dict[str, Any]:
    name = body.refiner_checkpoint or ""
    if name.casefold() in OFF:
        return {}
    at = body.refiner_switch_at
    return {"refiner": name} | ({} if at is None else {"refiner_switch_at": at})


def second_pass(body: Txt2Img, opened: Open) -> dict[str, Any]:
    """firstpass_image stands in for the first pass: it is taken as it is, and enlarged.

    Where old clients give the first pass's size (firstphase_...), width and height are the second's.
    """
    if not body.enable_hr:
        return {}
    strength = body.denoising_strength
    hires = HiresPass(
        scale=body.hr_scale,
        width=body.hr_resize_x,
        height=body.hr_resize_y,
        upscaler=_upscaler(body.hr_upscaler),
        denoising_strength=HiresPass().denoising_strength if strength is None else strength,
        steps=body.hr_second_pass_steps,
        sampler=_own(body.hr_sampler_name),
        schedule=_own(body.hr_scheduler),
        prompt=body.hr_prompt,
        negative_prompt=body.hr_negative_prompt,
        model=_own(body.hr_checkpoint_name),
    )
    if body.firstpass_image:
        return {"hires": hires, "init_image": opened(body.firstpass_image), "denoising_strength": 0.0}
    if not (body.firstphase_width and body.firstphase_height):
        return {"hires": hires}
    target = dataclasses.replace(hires, width=body.width, height=body.height)
    return {"hires": target, "width": body.firstphase_width, "height": body.firstphase_height}


def _upscaler(name: str | None) -> str:
    """A1111's "None" among the upscalers of pictures leaves the enlarging to its Lanczos."""
    return "Lanczos" if name is not None and name.casefold() == "none" else name or HiresPass().upscaler


def _own(name: str | None) -> str | None:
    return None if name is None or name.casefold() in SAME else name


def source(body: Img2Img, opened: Open) -> dict[str, Any]:
    """opened: reads a picture as clients send them.  Raises InvalidRequest and what it raises."""
    pictures = body.init_images or []
    if len(pictures) > 1 and body.script_name:
        raise InvalidRequest(f"{len(pictures)} init_images were sent.", "Send one for a script.", "init_images")
    image = opened(pictures[0])
    fields: dict[str, Any] = {
        "init_image": image,
        "resize_mode": _chosen("resize_mode", body.resize_mode, RESIZE_MODES),
        "denoising_strength": body.denoising_strength,
    }
    if body.initial_noise_multiplier is not None:
        fields["initial_noise_multiplier"] = body.initial_noise_multiplier
    return fields | (_mask(body, opened, image.size) if body.mask else {})


def batch(body: Img2Img, request: GenerateRequest, opened: Open) -> list[GenerateRequest]:
    """One request, or one a picture: several are a batch of which each has its own, and the next seed, as in A1111.

    request: of the first picture.
    """
    pictures = body.init_images or []
    if len(pictures) == 1:
        return [request]
    if len(pictures) > MOST_PICTURES:
        message = f"{len(pictures)} init_images were sent; at most {MOST_PICTURES} are taken."
        raise InvalidRequest(message, "Send fewer at a time.", "init_images")
    request, images = with_seed(request), [opened(picture) for picture in pictures]
    varied = request.subseed_strength > 0  # then the subseed counts and the seed stands still
    return [
        dataclasses.replace(
            request,
            init_image=image,
            mask=request.mask and request.mask.resize(image.size),
            latent_mask=request.latent_mask and request.latent_mask.resize(image.size),
            batch_size=1,
            batch_count=1,
            seed=request.seed + (0 if varied else number * len(images) + index),
            subseed=request.subseed + (number * len(images) + index if varied else 0),
        )
        for number in range(request.batch_count)
        for index, image in enumerate(images)
    ]


def _mask(body: Img2Img, opened: Open, size: tuple[int, int]) -> dict[str, Any]:
    """mask_blur stands for both of its kind, as in A1111."""
    across, down = (body.mask_blur_x, body.mask_blur_y) if body.mask_blur is None else (body.mask_blur, body.mask_blur)
    return {
        "mask": _grey(opened(body.mask or "")).resize(size),
        "latent_mask": _grey(opened(body.latent_mask)).resize(size) if body.latent_mask else None,
        "mask_invert": bool(body.inpainting_mask_invert),
        "mask_blur": across,
        "mask_blur_y": None if down == across else down,
        "mask_round": body.mask_round,
        "inpainting_fill": _chosen("inpainting_fill", body.inpainting_fill, INPAINTING_FILLS),
        "only_masked": body.inpaint_full_res,
        "only_masked_padding": body.inpaint_full_res_padding,
        "soft_inpainting": _soft(body.alwayson_scripts),
    }


def _grey(mask: Image.Image) -> Image.Image:
    """Where a mask has holes, its opacity is the mask, as in A1111."""
    if "A" in mask.getbands():
        opacity = mask.getchannel("A")
        if opacity.getextrema() != (255, 255):
            return opacity
    return mask.convert("L")


def _soft(scripts: Mapping[str, Any]) -> SoftInpainting | None:
    """Arguments of the script: the switch and six numbers in order, or one object of them by label."""
    script = next((value for name, value in scripts.items() if name.casefold() == SOFT), None)
    args = script.get("args") if isinstance(script, Mapping) else None
    if not isinstance(args, list) or not args:
        return None
    if isinstance(args[0], Mapping):
        args = [args[0].get("Soft inpainting", False), *(args[0].get(label) for label in _LABELS)]
    names = [field.name for field in dataclasses.fields(SoftInpainting)]
    numbers = {name: value for name, value in zip(names, args[1:], strict=False) if value is not None}
    for value in numbers.values():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidRequest("Soft inpainting's arguments are a switch and six numbers.",
                                 "For example [true, 1, 0.5, 4, 0, 0.5, 2].", "alwayson_scripts")  # fmt: skip
    return SoftInpainting(**numbers) if args[0] is True else None


def _chosen(field: str, number: int, names: tuple[Any, ...]) -> Any:
    if not 0 <= number < len(names):
        told = ", ".join(f"{index}: {name}" for index, name in enumerate(names))
        raise InvalidRequest(f"{field} is {number}.", f"It is one of {told}.", field)
    return names[number]
