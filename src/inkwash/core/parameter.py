"""What is said of one field of a GenerateRequest; ``core.parameters`` has the table of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inkwash.core.limits import (
    HIRES_RANGES,
    INVERSION_RANGES,
    MULTIPLE,
    RANGES,
    REGION_RANGES,
    SD_UPSCALE_RANGES,
    SOFT_RANGES,
    TILED_RANGES,
    TILES_RANGES,
    Limits,
)
from inkwash.core.request import (
    GenerateRequest,
    HiresPass,
    NoiseInversion,
    Region,
    SDUpscale,
    SoftInpainting,
    TiledDiffusion,
    VaeTiles,
)

Kind = Literal["text", "integer", "number", "boolean", "choice", "list", "image", "regions"]
Source = Literal["models", "vaes", "upscalers", "face restorers", "samplers", "schedules", "styles"]
Group = Literal["prompt", "picture", "model", "seed", "sampling", "guidance", "hires", "edit", "tiles"]

Nested = HiresPass | SoftInpainting | TiledDiffusion | NoiseInversion | SDUpscale | VaeTiles
NESTED: dict[str, Nested] = {
    "hires": HiresPass(),
    "soft_inpainting": SoftInpainting(),
    "tiled": TiledDiffusion(),
    "noise_inversion": NoiseInversion(),
    "sd_upscale": SDUpscale(),
    "vae_tiles": VaeTiles(),
}
"""Fields that are objects of their own, or None, with the defaults of theirs."""

REGIONS = "tiled.regions"
"""A list of objects; their fields have names below it: "tiled.regions.x"."""

SWITCH = "enabled"
"""Of a nested object in JSON: false is None, so that a form can keep its values while it is off."""

_DEFAULTS, _REGION = GenerateRequest(), Region()


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
        if outer == REGIONS:
            return getattr(_REGION, inner)
        return getattr(NESTED[outer] if outer else _DEFAULTS, inner)

    def range(self, limits: Limits) -> tuple[float | None, float | None]:
        """Lowest and highest value, None where there is no bound."""
        return _ranges(limits).get(self.name, (None, None))


_INNER_RANGES = {
    "hires": HIRES_RANGES,
    "soft_inpainting": SOFT_RANGES,
    "tiled": TILED_RANGES,
    REGIONS: REGION_RANGES,
    "noise_inversion": INVERSION_RANGES,
    "sd_upscale": SD_UPSCALE_RANGES,
    "vae_tiles": TILES_RANGES,
}


def _ranges(limits: Limits) -> dict[str, tuple[float | None, float | None]]:
    inner = {f"{outer}.{name}": (low, high) for outer, ranges in _INNER_RANGES.items() for name, low, high in ranges}
    return {
        **{name: (lowest, highest) for name, lowest, highest in RANGES},
        **inner,
        "width": (MULTIPLE, limits.side),
        "height": (MULTIPLE, limits.side),
        "steps": (1, limits.steps),
        "batch_size": (1, limits.batch_size),
        "batch_count": (1, limits.batch_count),
        "hires.width": (0, limits.side),
        "hires.height": (0, limits.side),
        "hires.steps": (0, limits.steps),
    }
