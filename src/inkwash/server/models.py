"""What is to be said of a model file, read from its header once and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from inkwash.checkpoint.catalog import BOX, Entry
from inkwash.checkpoint.detect import detect
from inkwash.checkpoint.hashes import short_hash
from inkwash.checkpoint.spec import ModelSpec
from inkwash.core.errors import InkwashError
from inkwash.core.parameters import Text
from inkwash.server.context import Context

SMALL = 2**26  # bytes; hashes of smaller files are computed when they are listed


@dataclass(frozen=True)
class Suggestion:
    name: str
    what: Text
    url: str


# Where a newcomer may look for a model; nothing is ever fetched from there by Inkwash.
SUGGESTIONS: Sequence[Suggestion] = (
    Suggestion(
        "Stable Diffusion 1.5",
        Text("The original: everything else is built on it.", "原版模型，其他模型都建立在它之上。"),
        "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5",
    ),
    Suggestion(
        "DreamShaper 8",
        Text("An all-rounder: portraits, landscapes, fantasy.", "全能型：人像、风景、幻想题材。"),
        "https://huggingface.co/Lykon/dreamshaper-8",
    ),
    Suggestion(
        "Realistic Vision 5.1",
        Text("Photographs.", "照片风格。"),
        "https://huggingface.co/SG161222/Realistic_Vision_V5.1_noVAE",
    ),
    Suggestion(
        "Counterfeit 3.0",
        Text("Anime.", "动漫风格。"),
        "https://huggingface.co/gsdf/Counterfeit-V3.0",
    ),
)


@dataclass(frozen=True)
class Described:
    """spec: None where the file cannot be drawn with; note: its maker's words, or why not."""

    entry: Entry
    size: int  # bytes; 0 for folders
    box: bool
    spec: ModelSpec | None
    note: str

    @property
    def hash(self) -> str | None:
        return short_hash(self.entry.sha256) if self.entry.sha256 else None


def described(context: Context) -> list[Described]:
    return [describe(context, entry) for entry in context.catalog.entries("model")]


def describe(context: Context, entry: Entry) -> Described:
    path = entry.path
    size = path.stat().st_size if path.is_file() else 0
    if 0 < size < SMALL:
        entry = context.catalog.with_hash(entry)
    spec, note = _read(path, path.stat().st_mtime_ns, size)
    return Described(entry, size, path.is_relative_to(BOX), spec, note)


@lru_cache(maxsize=1024)
def _read(path: Path, changed: int, size: int) -> tuple[ModelSpec | None, str]:
    """changed, size: so that a file that was replaced is read anew."""
    try:
        spec = detect(path)
    except InkwashError as error:
        return None, str(error)
    return spec, spec.note
