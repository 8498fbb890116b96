"""GenerateRequest <-> JSON: what travels between page, service, queue and worker.

JSON has no infinity, and forms have empty fields: null means the field's default, in both directions.  A picture is
named by the hash of its pixels, {"sha256": "..."}; who keeps it under that name is the caller's business.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from inkwash.core.choices import nearest
from inkwash.core.errors import InvalidRequest
from inkwash.core.parameter import NESTED, REGIONS, SWITCH, Kind, Nested
from inkwash.core.parameters import BY_NAME
from inkwash.core.request import GenerateRequest, Region

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULTS = GenerateRequest()
PICTURES = tuple(name for name, parameter in BY_NAME.items() if parameter.kind == "image")
HASH = "sha256"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WORDS: dict[Kind, str] = {
    "text": "text",
    "choice": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
    "image": 'a picture, {"sha256": "..."}',
    "regions": "a list of objects",
}

Keep = Callable[["Image"], str]
Find = Callable[[str], "Image"]


def to_json(request: GenerateRequest, keep: Keep | None = None) -> dict[str, Any]:
    """Every field that differs from its default, as plain JSON.

    keep: stores a picture and returns the hash it is found by; without it the request's pictures are left out.
    """
    return {
        field.name: value
        for field in fields(request)
        if (value := _plain(field.name, getattr(request, field.name), keep)) is not None
    }


def _plain(name: str, value: Any, keep: Keep | None) -> Any:
    """None: nothing is to be said of it."""
    if value is None or (name not in PICTURES and value == getattr(DEFAULTS, name)):
        return None
    if name in PICTURES:
        return {HASH: keep(value)} if keep else None
    if name in NESTED:
        return {SWITCH: True} | _differing(value, NESTED[name])
    return list(value) if isinstance(value, tuple) else value


def _differing(value: Nested | Region, default: object) -> dict[str, Any]:
    given = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: _inner(part) for name, part in given.items() if part != getattr(default, name)}


def _inner(part: object) -> object:
    """Regions are the only list that is nested."""
    return [_differing(region, Region()) for region in part] if isinstance(part, tuple) else part


def from_json(values: Mapping[str, Any], find: Find | None = None) -> GenerateRequest:
    """The request of a JSON object.  Raises InvalidRequest naming the field that is unknown or of a wrong kind.

    find: opens a picture by its hash; without it pictures are left out, for those who only want the numbers.
    Whether the values can be drawn is for ``core.limits`` to say.
    """
    given: dict[str, Any] = {name: _value(name, value, find) for name, value in values.items() if value is not None}
    return GenerateRequest(**given)


def reference(name: str, value: object) -> str:
    """The hash of {"sha256": hash}.  Raises InvalidRequest."""
    digest = value.get(HASH) if isinstance(value, Mapping) and len(value) == 1 else None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise _wrong(name, value)
    return digest


def _value(name: str, value: object, find: Find | None) -> object:
    if name in NESTED:
        return _nested(name, value)
    parameter = BY_NAME.get(name)
    if parameter is None or "." in name:
        raise _unknown(name, [known for known in BY_NAME if "." not in known] + list(NESTED), "A request")
    if parameter.kind == "image":
        digest = reference(name, value)
        return _found(name, digest, find) if find else None
    return _read(name, value)


def _found(name: str, digest: str, find: Find) -> Image:
    try:
        return find(digest)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, error.remedy, name) from None


def _nested(name: str, value: object) -> Nested | None:
    """An object that is there is switched on, unless it says otherwise."""
    read = _fields(name, value)
    return type(NESTED[name])(**read) if read.pop(SWITCH, True) else None


def _fields(name: str, value: object) -> dict[str, Any]:
    """What an object says of its fields, null left out."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{name} is {_shown(value)}; it must be an object.", "Put its fields in { }.", name)
    inside = [known.rpartition(".")[2] for known in BY_NAME if known.rpartition(".")[0] == name]
    for inner in value:
        if inner not in inside:
            raise _unknown(f"{name}.{inner}", [f"{name}.{known}" for known in inside], name)
    return {inner: _read(f"{name}.{inner}", part) for inner, part in value.items() if part is not None}


def _regions(name: str, value: object) -> tuple[Region, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(name, value)
    return tuple(Region(**_fields(REGIONS, part)) for part in value)


def _unknown(name: str, known: list[str], whose: str) -> InvalidRequest:
    close = nearest(name, known)
    remedy = f"Did you mean {' or '.join(close)}?" if close else f"Fields: {', '.join(known)}."
    return InvalidRequest(f"{whose} has no field {name[:80]!r}.", remedy, name[:80])


def _read(name: str, value: object) -> Any:
    kind = BY_NAME[name].kind
    return _list(name, value) if kind == "list" else _READ[kind](name, value)


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
    "regions": _regions,
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
