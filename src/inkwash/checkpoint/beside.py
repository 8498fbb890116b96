"""What lies beside a model file for people: its picture, and what its maker or owner wrote about it.

A1111 and ComfyUI keep NAME.png or NAME.preview.png, NAME.txt, A1111's card NAME.json and Civitai's NAME.civitai.info.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

from inkwash.checkpoint.places import SUFFIXES
from inkwash.checkpoint.regular import opened
from inkwash.core.errors import InkwashError

PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
MOST_TEXT = 2**20  # bytes of a note that are read
SHOWN = 10_000  # characters
_TAGS, _BREAKS = re.compile(r"<[^>]{0,1000}>"), re.compile(r"</?(?:p|br|li|h[1-6])[^>]{0,100}>", re.IGNORECASE)

Allowed = Callable[[Path], bool]


@dataclass(frozen=True)
class Beside:
    """note: plain text, "" if there is none.  words: what its maker says to put into the prompt."""

    picture: Path | None = None
    note: str = ""
    words: tuple[str, ...] = ()


def beside(model: Path, allowed: Allowed = lambda path: True) -> Beside:
    """allowed: whether a file may be looked at, links followed.

    What is damaged is passed over: it is only decoration.
    """
    card, civitai = _json(model, ".json", allowed), _json(model, ".civitai.info", allowed)
    trained = civitai.get("trainedWords")
    words = [_said(card.get("activation text")), *(map(_said, trained) if isinstance(trained, list) else ())]
    notes = [
        _read(stem_of(model) + ".txt", allowed),
        *(_said(card.get(key)) for key in ("description", "notes")),
        _plain(_said(civitai.get("description"))),
    ]
    return Beside(
        picture_of(model, allowed),
        "\n\n".join(dict.fromkeys(filter(None, notes)))[:SHOWN],
        tuple(dict.fromkeys(word[:1000] for word in words if word)),
    )


def picture_of(model: Path, allowed: Allowed = lambda path: True) -> Path | None:
    """The picture that shows what the model draws."""
    stem = stem_of(model)
    for name in (f"{stem}{middle}{ending}" for middle in (".preview", "") for ending in PICTURES):
        if os.path.isfile(name) and allowed(Path(name)):
            return Path(name)
    return None


def stem_of(model: Path) -> str:
    """The path without the ending that says it is a model; a folder's own."""
    text = str(model)
    return next((text[: -len(ending)] for ending in SUFFIXES if text.lower().endswith(ending)), text)


def _json(model: Path, ending: str, allowed: Allowed) -> dict[str, Any]:
    try:
        value = json.loads(_read(stem_of(model) + ending, allowed) or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _read(name: str, allowed: Allowed) -> str:
    path = Path(name)
    if not os.path.isfile(path) or not allowed(path):
        return ""
    try:
        with opened(path) as (file, size):
            return file.read(min(size, MOST_TEXT)).decode("utf-8-sig", "replace").strip()
    except InkwashError:
        return ""


def _said(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _plain(html: str) -> str:
    """Civitai writes HTML; what is shown is its text alone."""
    text = unescape(_TAGS.sub("", _BREAKS.sub("\n", html[:MOST_TEXT])))
    return re.sub(r"\n\s*\n+", "\n\n", text).strip()
