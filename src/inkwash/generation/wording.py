"""What a person typed -> what one picture is drawn from: styles applied, wildcards drawn, network tags taken out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inkwash.core.request import GenerateRequest
from inkwash.prompt.networks import NetworkRef, parse_networks
from inkwash.prompt.styles import Style, apply_styles, load_styles
from inkwash.prompt.wildcards import expand_wildcards, find_wildcards


@dataclass(frozen=True)
class Library:
    """The person's own words: styles, and the files that wildcards draw from, by name."""

    styles: Mapping[str, Style] = field(default_factory=dict)
    wildcards: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> Library:
        """``styles.csv`` and ``wildcards/`` of an A1111 folder (or of the one around its ``models``), if they exist."""
        root = root.parent if root.name == "models" else root
        return cls(load_styles(root / "styles.csv"), find_wildcards(root / "wildcards"))


@dataclass(frozen=True)
class Wording:
    """The texts of one picture.  ``full`` texts go into the infotext, the others into the text encoder."""

    full_prompt: str
    full_negative_prompt: str
    prompt: str
    negative_prompt: str
    networks: tuple[NetworkRef, ...]


def word(request: GenerateRequest, seed: int, library: Library) -> Wording:
    """seed: decides the wildcards of this picture."""
    prompt, negative = apply_styles(request.prompt, request.negative_prompt, request.styles, library.styles)
    prompt = expand_wildcards(prompt, seed, library.wildcards)
    negative = expand_wildcards(negative, seed, library.wildcards)
    clean, networks = parse_networks(prompt)
    return Wording(prompt, negative, clean, negative, networks)
