"""Networks named in a prompt: ``<lora:name:weight>``, ``<lyco:...>``, ``<hypernet:...>``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from inkwash.core.errors import InvalidRequest

Kind = Literal["lora", "hypernet"]
KINDS: dict[str, Kind] = {"lora": "lora", "lyco": "lora", "hypernet": "hypernet"}

_TAG = re.compile(r"<(\w+):([^>]+)>")


@dataclass(frozen=True, slots=True)
class NetworkRef:
    """A network to draw with.  kind "lora" stands for the whole family (LyCORIS included); the file decides.

    The weights multiply what the network adds to the text encoder and to the U-Net; a hypernetwork has only one.
    ``dyn`` is a rank to cut the network down to (A1111's "dyn dim"), None to leave it.
    """

    kind: Kind
    name: str
    text_weight: float = 1.0
    unet_weight: float = 1.0
    dyn: int | None = None


def parse_networks(text: str) -> tuple[str, tuple[NetworkRef, ...]]:
    """The text without its ``<word:...>`` tags, and the networks they name, in order.

    ``<lora:name>``, ``<lora:name:weight>`` (both weights), ``<lora:name:te:unet>``, ``<lora:name:te:unet:dyn>``;
    ``te=``, ``unet=`` and ``dyn=`` can stand anywhere after the name and win.  Tags of an unknown kind are dropped,
    as A1111 does (``advise`` tells).  Raises InvalidRequest for a weight that is no number.
    """
    networks = []
    kept = []
    end = 0
    for match in find_tags(text):
        kept.append(text[end : match.start()])
        end = match.end()
        if kind := KINDS.get(match[1]):
            networks.append(_network(kind, match[0], match[2]))
    kept.append(text[end:])
    return "".join(kept), tuple(networks)


def find_tags(text: str) -> list[re.Match[str]]:
    """All ``<word:arguments>`` in order; group 1 is the word, group 2 the arguments."""
    last = text.rfind(">")  # looking for ">" beyond the last one would take quadratic time
    return list(_TAG.finditer(text, 0, last + 1))


def _network(kind: Kind, tag: str, arguments: str) -> NetworkRef:
    name, *items = arguments.split(":")
    named = {}
    positional = []
    for item in items:
        key, equals, value = item.partition("=")
        if equals and "=" not in value:
            named[key] = value
        else:
            positional.append(item)
    text_weight = _weight(named.get("te", positional[0] if positional else "1"), tag)
    if kind == "hypernet":
        return NetworkRef(kind, name, text_weight, text_weight)
    unet = named.get("unet", positional[1] if len(positional) > 1 else None)
    unet_weight = text_weight if unet is None else _weight(unet, tag)
    dyn = named.get("dyn", positional[2] if len(positional) > 2 else None)
    return NetworkRef(kind, name, text_weight, unet_weight, None if dyn is None else _rank(dyn, tag))


def _weight(text: str, tag: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise InvalidRequest(f"{text!r} in {tag} is not a weight.", "Write a number, as in <lora:name:0.8>.")
    return weight


def _rank(text: str, tag: str) -> int:
    if not re.fullmatch(r"\s*0*[1-9]\d{0,8}\s*", text):
        raise InvalidRequest(f"{text!r} in {tag} is not a rank.", "Write a whole number from 1 on, as in dyn=8.")
    return int(text)
