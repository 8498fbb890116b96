"""What is said of one field of a GenerateRequest; ``core.parameters`` has the table of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inkwash.core.limits import HIRES_RANGES, MULTIPLE, RANGES, SOFT_RANGES, TILES_RANGES, Limits
from inkwash.core.request import GenerateRequest, HiresPass, SoftInpainting, VaeTiles

Kind = Literal["text", "integer", "number", "boolean", "choice", "list", "image"]
Source = Literal["models", "vaes", "upscalers", "samplers", "schedules", "styles"]
Group = Literal["prompt", "picture", "model", "seed", "sampling", "guidance", "hires", "edit"]

Nested = HiresPass | SoftInpainting | VaeTiles
NESTED: dict[str, Nested] = {"hires": HiresPass(), "soft_inpainting": SoftInpainting(), "vae_tiles": VaeTiles()}
"""Fields that are objects of their own, or None, with the defaults of theirs."""

SWITCH = "enabled"
"""Of a nested object in JSON: false is None, so that a form can keep its values while it is off."""

_DEFAULTS = GenerateRequest()


@dataclass(frozen=True)
class Text:
    """One thing said in both languages."""

    en: str
    zh: str


@dataclass(frozen=True)
class Parameter:
    """kind "choice": one of ``choices`` and of what the service lists under ``source``.  step: of a slider."""

    name: str
    kind: Kind
    group: Group
    label: Text
    help: Text
    basic: bool = False
    step: float | None = None
    choices: tuple[str, ...] | None = None
    source: Source | None = None

    @property
    def default(self) -> object:
        """The dataclass's own; None where the model or the sampler decides."""
        outer, _, inner = self.name.rpartition(".")
        if inner == SWITCH:
            return False
        return getattr(NESTED[outer] if outer else _DEFAULTS, inner)

    def range(self, limits: Limits) -> tuple[float | None, float | None]:
        """Lowest and highest value, None where there is no bound."""
        return _ranges(limits).get(self.name, (None, None))


def _ranges(limits: Limits) -> dict[str, tuple[float | None, float | None]]:
    return {
        **{name: (lowest, highest) for name, lowest, highest in RANGES},
        **{f"hires.{name}": (lowest, highest) for name, lowest, highest in HIRES_RANGES},
        **{f"soft_inpainting.{name}": (lowest, highest) for name, lowest, highest in SOFT_RANGES},
        **{f"vae_tiles.{name}": (lowest, highest) for name, lowest, highest in TILES_RANGES},
        "width": (MULTIPLE, limits.side),
        "height": (MULTIPLE, limits.side),
        "steps": (1, limits.steps),
        "batch_size": (1, limits.batch_size),
        "batch_count": (1, limits.batch_count),
        "hires.width": (0, limits.side),
        "hires.height": (0, limits.side),
        "hires.steps": (0, limits.steps),
    }
