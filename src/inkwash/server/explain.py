"""Orders for *How it works*: one drawing taken apart, or noise added to a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inkwash.core.choices import nearest
from inkwash.core.errors import InvalidRequest
from inkwash.server import orders
from inkwash.server.context import Context

DRAWING = ("prompt", "negative_prompt", "seed", "steps", "sampler", "schedule", "cfg_scale", "width", "height", "model")
STEPS, CFGS, LEVELS = 50, 6, 20  # every one of them becomes pictures
LAST_T = 999


def settled(context: Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of a drawing that is to be taken apart, checked.  Raises InvalidRequest."""
    if "noise" in values:
        raise InvalidRequest("Noise is added to a picture elsewhere.", "POST it to /api/v1/explain/noise.", "noise")
    _refuse_unknown(values, (*DRAWING, "cfgs"))
    request = orders.from_json(context, {name: values[name] for name in DRAWING if name in values})
    if request.get("steps", 20) > STEPS:
        raise InvalidRequest(
            f"steps is {request['steps']}; at most {STEPS} are taken apart.", "Ask for fewer.", "steps"
        )
    return request | {"cfgs": _numbers("cfgs", values.get("cfgs") or [], CFGS, 0, 1000)}


def noising(picture: Path, ts: Sequence[int], seed: int) -> dict[str, Any]:
    """The JSON of a job that adds noise.  picture: a file of the service's own, never one that a client named."""
    steps = _numbers("t", list(ts), LEVELS, 0, LAST_T)
    return {"noise": {"picture": str(picture), "ts": [int(t) for t in steps], "seed": seed}}


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
