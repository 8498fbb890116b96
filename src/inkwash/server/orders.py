"""From a request a stranger sent to one that may be queued: names looked up, limits kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from inkwash.checkpoint.places import Kind
from inkwash.checkpoint.restorers import restorer_named
from inkwash.checkpoint.upscalers import upscaler_named
from inkwash.core import limits, wire
from inkwash.core.choices import PICTURE_UPSCALERS, UPSCALERS, nearest
from inkwash.core.errors import InvalidRequest, ModelNotFound
from inkwash.core.request import GenerateRequest, HiresPass
from inkwash.prompt.networks import parse_networks
from inkwash.server.context import Context

NETWORKS = 32  # in one prompt


def settle(context: Context, request: GenerateRequest) -> GenerateRequest:
    """The request as it goes into the queue.  Raises InvalidRequest or ModelNotFound naming the field.

    Models are found in the confined catalog and named by their place in it, so that no path of a stranger's reaches
    the worker.
    """
    checked = limits.check(request, context.settings.limits)
    most = context.settings.server.pictures
    if checked.batch_size * checked.batch_count > most:
        raise InvalidRequest(f"{checked.batch_size * checked.batch_count} pictures are asked for; at most {most} are "
                             "drawn for one request.", "Ask for fewer at a time.", "batch_count")  # fmt: skip
    _check_styles(context, checked.styles)
    _check_networks(checked)
    return dataclasses.replace(
        _with_source_upscaler(context, checked),
        model=_model(context, checked.model),
        refiner=_model(context, checked.refiner),
        restore_faces=checked.restore_faces and restorer(context, checked.restore_faces),
        hires=checked.hires and _hires(context, checked.hires),
        vae=checked.vae if checked.vae in (None, "Automatic", "None") else _place(context, checked.vae or "", "vae"),
    )


def from_json(context: Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """A GenerateRequest's JSON, checked and settled, as JSON again."""
    return as_json(context, settle(context, wire.from_json(values, context.blobs.find)))


def as_json(context: Context, request: GenerateRequest) -> dict[str, Any]:
    """A settled request as it is queued; its pictures are kept, for the worker and for another attempt."""
    return wire.to_json(request, context.blobs.keep)


def _hires(context: Context, hires: HiresPass) -> HiresPass:
    named = upscaler(context, hires.upscaler, UPSCALERS)
    return dataclasses.replace(hires, model=_model(context, hires.model), upscaler=named)


def upscaler(context: Context, name: str, plain: Sequence[str]) -> str:
    """One of ``plain``, or a learned one's place among the files.  Raises InvalidRequest with the nearest names."""
    return upscaler_named(context.catalog, name, plain)


def restorer(context: Context, name: str) -> str:
    """A face restorer's place among the files.  Raises InvalidRequest with the names there are, ModelNotFound."""
    return restorer_named(context.catalog, name)


def _with_source_upscaler(context: Context, request: GenerateRequest) -> GenerateRequest:
    """What enlarges the picture to start from, by its place among the files."""
    tiled, upscale = request.tiled, request.sd_upscale
    if tiled is not None and tiled.upscaler:
        tiled = dataclasses.replace(tiled, upscaler=upscaler(context, tiled.upscaler, PICTURE_UPSCALERS))
    if upscale is not None:
        upscale = dataclasses.replace(upscale, upscaler=upscaler(context, upscale.upscaler, PICTURE_UPSCALERS))
    return dataclasses.replace(request, tiled=tiled, sd_upscale=upscale)


def _model(context: Context, name: str | None) -> str | None:
    return None if name is None else _place(context, name, "model")


def _place(context: Context, name: str, kind: Kind) -> str:
    if "\0" in name:
        raise ModelNotFound(f"No {kind} has such a name.", "List them with GET /api/v1/models.")
    return context.catalog.find(name, kind).relative


def _texts(request: GenerateRequest) -> tuple[str, ...]:
    hires = request.hires
    return (request.prompt, request.negative_prompt, *((hires.prompt, hires.negative_prompt) if hires else ()))


def _check_networks(request: GenerateRequest) -> None:
    """Raises InvalidRequest for too many <lora:...>, and for tags that cannot be read."""
    count = sum(len(parse_networks(text)[1]) for text in _texts(request))
    if count > NETWORKS:
        message = f"The prompt names {count} networks; at most {NETWORKS} are taken."
        raise InvalidRequest(message, "Leave some out.", "prompt")


def _check_styles(context: Context, names: tuple[str, ...]) -> None:
    if not names:
        return
    known = context.styles()
    for name in names:
        if name not in known:
            close = nearest(name, list(known))
            remedy = f"Did you mean {' or '.join(close)}?" if close else "Add it to styles.csv."
            raise InvalidRequest(f"There is no style {name[:80]!r}.", remedy, "styles")
