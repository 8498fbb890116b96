"""GenerateRequest <-> JSON: what travels between page, service, queue and worker.

JSON has no infinity, and forms have empty fields: null means the field's default, in both directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from inkwash.core.choices import nearest
from inkwash.core.errors import InvalidRequest
from inkwash.core.parameters import BY_NAME, Kind
from inkwash.core.request import GenerateRequest

DEFAULTS = GenerateRequest()
_WORDS: dict[Kind, str] = {
    "text": "text",
    "choice": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
}


def to_json(request: GenerateRequest) -> dict[str, Any]:
    """Every field that differs from its default, as plain JSON."""
    values = {field.name: getattr(request, field.name) for field in fields(request)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value != getattr(DEFAULTS, name)
    }


def from_json(values: Mapping[str, Any]) -> GenerateRequest:
    """The request of a JSON object.  Raises InvalidRequest naming the field that is unknown or of a wrong kind.

    Whether the values can be drawn is for ``core.limits`` to say.
    """
    return GenerateRequest(**{name: _value(name, value) for name, value in values.items() if value is not None})


def _value(name: str, value: object) -> object:
    parameter = BY_NAME.get(name)
    if parameter is None:
        close = nearest(name, list(BY_NAME))
        remedy = f"Did you mean {' or '.join(close)}?" if close else f"Fields: {', '.join(BY_NAME)}."
        raise InvalidRequest(f"A request has no field {name[:80]!r}.", remedy, name[:80])
    if parameter.kind == "list":
        return _list(name, value)
    return _READ[parameter.kind](name, value)


def _list(name: str, value: object) -> tuple[object, ...]:
    read, noun = (_text, "texts") if BY_NAME[name].source else (_number, "numbers")
    if not isinstance(value, list | tuple):
        raise InvalidRequest(f"{name} is {_shown(value)}; it must be a list of {noun}.", "Put it in [ ].", name)
    return tuple(read(name, part) for part in value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(name, value)
    return value


def _integer(name: str, value: object) -> int:
    """Whole numbers, 20.0 included, for JavaScript makes no difference."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, value)
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, value)
    try:
        number = float(value)
    except OverflowError:
        raise _wrong(name, value) from None
    if math.isnan(number):
        raise _wrong(name, value)
    return number


def _boolean(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, value)
    return value


_READ: dict[Kind, Callable[[str, object], object]] = {
    "text": _text,
    "choice": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}


def _wrong(name: str, value: object) -> InvalidRequest:
    kind = _WORDS[BY_NAME[name].kind] if BY_NAME[name].kind != "list" else "a list of texts or numbers"
    return InvalidRequest(f"{name} is {_shown(value)}; it must be {kind}.", f"Give {name} as {kind}.", name)


def _shown(value: object) -> str:
    """A value in an error's words: short, whatever was sent."""
    if isinstance(value, str):
        return repr(value[:60])
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int):
        return str(value) if abs(value) < 2**64 else "a number beyond 2^64"
    return repr(value)[:60] if isinstance(value, float) else f"a {type(value).__name__}"
