"""File names from patterns such as ``[number]-[seed]-[prompt_words]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from inkwash.core.choices import nearest
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest

DEFAULT = "[number]-[seed]"
WORDS = 8  # of the prompt, in [prompt_words]
LONGEST = 150  # characters of one name; with the suffix and a temporary name this fits every file system

FIELDS = (
    "number", "seed", "subseed", "date", "time", "datetime", "prompt", "prompt_words", "negative_prompt", "model_name",
    "model_hash", "width", "height", "steps", "cfg", "sampler", "schedule", "clip_skip", "batch_number",
)  # fmt: skip
_FIELD = re.compile(r"\[([^\[\]]*)\]")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What a name can speak of.  index: the picture's place in its request, from 0."""

    request: GenerateRequest
    seed: int
    subseed: int
    index: int
    when: datetime
    model_name: str = ""
    model_hash: str = ""


def check(pattern: str) -> None:
    """Raises InvalidRequest if the pattern holds a field that does not exist."""
    for field in _FIELD.findall(pattern):
        if field not in FIELDS:
            close = nearest(field, FIELDS)
            remedy = f"Did you mean [{close[0]}]?" if close else f"Fields: {', '.join(FIELDS)}."
            raise InvalidRequest(f"The name pattern has an unknown field [{field}].", remedy)


def name(pattern: str, facts: Facts, number: int) -> str:
    """The file name without suffix; safe on every system, never empty, never a path."""
    values = _values(facts, number)
    text = _FIELD.sub(lambda match: values[match[1]], pattern)
    text = _FORBIDDEN.sub("_", text).strip(" .")
    encoded = text.encode()[:LONGEST].decode(errors="ignore").rstrip(" .")
    return f"_{encoded}" if not encoded or _RESERVED.match(encoded) else encoded


def next_number(folder: Path) -> int:
    """One more than the highest number that begins a name in the folder; 0 in an empty or missing one."""
    if not folder.is_dir():
        return 0
    found = (re.match(r"(\d{1,9})(?!\d)", entry.name, re.ASCII) for entry in folder.iterdir())
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _values(facts: Facts, number: int) -> Mapping[str, str]:
    request = facts.request
    words = re.findall(r"\w+", request.prompt)[:WORDS]
    return {
        "number": f"{number:05}",
        "seed": str(facts.seed),
        "subseed": str(facts.subseed),
        "date": f"{facts.when:%Y-%m-%d}",
        "time": f"{facts.when:%H%M%S}",
        "datetime": f"{facts.when:%Y%m%d%H%M%S}",
        "prompt": request.prompt[:LONGEST],
        "prompt_words": " ".join(words),
        "negative_prompt": request.negative_prompt[:LONGEST],
        "model_name": facts.model_name,
        "model_hash": facts.model_hash,
        "width": str(request.width or ""),
        "height": str(request.height or ""),
        "steps": str(request.steps),
        "cfg": f"{request.cfg_scale:g}",
        "sampler": request.sampler,
        "schedule": request.schedule,
        "clip_skip": str(request.clip_skip),
        "batch_number": str(facts.index + 1),
    }
