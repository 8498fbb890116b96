"""Orders for *How it works*: one drawing taken apart, or noise added to a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inkwash.core.choices import nearest
from inkwash.core.errors import InvalidRequest
from inkwash.server import orders
from inkwash.server.context import Context

DRAWING = ("prompt", "negative_prompt", "seed", "steps", "sampler", "schedule", "cfg_scale", "width", "height", "model")
STEPS, CFGS, LEVELS = 50, 6, 20  # every one of them becomes pictures
LAST_T = 999


def settled(context: Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of an explain job, checked.  Raises InvalidRequest."""
    if "noise" in values:
        _refuse_unknown(values, ("noise", "model", "width", "height"))
        return _rest(context, values, ("model", "width", "height")) | {"noise": _noise(values["noise"])}
    _refuse_unknown(values, (*DRAWING, "cfgs"))
    request = _rest(context, values, DRAWING)
    if request.get("steps", 20) > STEPS:
        raise InvalidRequest(
            f"steps is {request['steps']}; at most {STEPS} are taken apart.", "Ask for fewer.", "steps"
        )
    return request | {"cfgs": _numbers("cfgs", values.get("cfgs") or [], CFGS, 0, 1000)}


def _rest(context: Context, values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return orders.from_json(context, {name: values[name] for name in names if name in values})


def _noise(noise: object) -> dict[str, Any]:
    if not isinstance(noise, Mapping) or not isinstance(noise.get("picture"), str):
        raise InvalidRequest("noise needs a picture.", "POST it to /api/v1/explain/noise.", "noise")
    _refuse_unknown(noise, ("picture", "ts", "seed"))
    seed = noise.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise InvalidRequest("The noise's seed must be a whole number from 0 on.", "Try 0.", "seed")
    steps = _numbers("ts", noise.get("ts") or [], LEVELS, 0, LAST_T)
    return {"picture": noise["picture"], "ts": [int(t) for t in steps], "seed": seed}


def _numbers(name: str, values: object, most: int, lowest: float, highest: float) -> list[float]:
    fits = isinstance(values, list) and len(values) <= most and all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        and lowest <= value <= highest for value in values
    )  # fmt: skip
    if not fits or not isinstance(values, list):
        raise InvalidRequest(
            f"{name} must be at most {most} numbers between {lowest} and {highest}.", "For example [1, 3, 7].", name
        )
    return list(values)


def _refuse_unknown(values: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in values:
        if name not in known:
            close = nearest(name, known)
            remedy = f"Did you mean {close[0]}?" if close else f"Fields: {', '.join(known)}."
            raise InvalidRequest(f"An explanation has no field {name[:80]!r}.", remedy, name[:80])
