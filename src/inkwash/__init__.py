"""Inkwash: Stable Diffusion on the command line and in Python.

    >>> import inkwash
    >>> engine = inkwash.Engine()
    >>> engine.generate(inkwash.GenerateRequest(prompt="a cute cat")).images[0].save("cat.png")

Importing this module costs a few milliseconds: what is named here is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from inkwash import checkpoint, core, diffusion, prompt
    from inkwash.core.errors import InkwashError
    from inkwash.core.request import (
        GenerateRequest,
        HiresPass,
        NoiseInversion,
        Region,
        Result,
        SDUpscale,
        SoftInpainting,
        TiledDiffusion,
        VaeTiles,
    )
    from inkwash.core.sources import inspect
    from inkwash.generation.engine import Engine

_WHERE = {
    "Engine": "inkwash.generation.engine",
    "GenerateRequest": "inkwash.core.request",
    "HiresPass": "inkwash.core.request",
    "InkwashError": "inkwash.core.errors",
    "NoiseInversion": "inkwash.core.request",
    "Region": "inkwash.core.request",
    "Result": "inkwash.core.request",
    "SDUpscale": "inkwash.core.request",
    "SoftInpainting": "inkwash.core.request",
    "TiledDiffusion": "inkwash.core.request",
    "VaeTiles": "inkwash.core.request",
    "inspect": "inkwash.core.sources",
}
_FOLDERS = ("checkpoint", "core", "diffusion", "prompt")

__all__ = [
    "Engine",
    "GenerateRequest",
    "HiresPass",
    "InkwashError",
    "NoiseInversion",
    "Region",
    "Result",
    "SDUpscale",
    "SoftInpainting",
    "TiledDiffusion",
    "VaeTiles",
    "checkpoint",
    "core",
    "diffusion",
    "inspect",
    "prompt",
]


def __getattr__(name: str) -> object:
    if name in _FOLDERS:
        return import_module(f"inkwash.{name}")
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'inkwash' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
