"""Whether the models of a request can draw what it asks for, in words, before anything is drawn."""

from __future__ import annotations

from collections.abc import Iterable

from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest
from inkwash.generation.latents import DEPTH_CHANNELS
from inkwash.models.stable_diffusion import StableDiffusion


def needs_depth(models: Iterable[StableDiffusion]) -> bool:
    """Whether one of the models draws over a depth map."""
    return any(model.spec.unet.in_channels == DEPTH_CHANNELS for model in models)


def check_depth(request: GenerateRequest, models: Iterable[StableDiffusion], estimated: bool) -> None:
    """Raises InvalidRequest if one of the models needs a depth map and there is none.  estimated: there is."""
    if needs_depth(models) and (request.init_image is None or not (estimated or request.depth)):
        raise InvalidRequest(
            "This model draws over a depth map, and the request has none.",
            "Give a picture, and its depth map (grey, near is bright) or a depth model in models/depth.",
            "depth" if request.init_image else "init_image",
        )


def check_enlarging(request: GenerateRequest, model: StableDiffusion, others: Iterable[StableDiffusion]) -> None:
    """Raises InvalidRequest if a model that enlarges pictures is to do anything else.  others: hires and refiner."""
    for other in others:
        if other.spec.low_res is not None:
            raise InvalidRequest(f"{other.spec.name} enlarges whole pictures and takes no part in another's.", ALONE)
    low_res = model.spec.low_res
    if low_res is None:
        return
    name = model.spec.name
    if request.init_image is None:
        message = f"{name} enlarges pictures {model.enlarges} times, and the request has none."
        raise InvalidRequest(message, "Give the picture to enlarge.", "init_image")
    for field in ("mask", "depth", "hires", "refiner"):
        if getattr(request, field) is not None:
            raise InvalidRequest(f"{name} enlarges a whole picture in one pass; it takes no {field}.", ALONE, field)
    if request.noise_level > low_res.highest_level:
        message = f"noise_level is {request.noise_level}; {name} was trained up to {low_res.highest_level}."
        raise InvalidRequest(message, "Try 20; more noise invents more.", "noise_level")


ALONE = "Draw the picture first, then enlarge it with this model by itself."
