"""The architectures of upscalers and face restorers: those of the library spandrel, given weights that were read here.

spandrel declares torchvision, which has no build for many machines, and imports three names of it: ``rotate`` and
``InterpolationMode`` for LaMa, which fills masks and enlarges nothing, and ``normalize`` for RestoreFormer.  While
spandrel is imported these names stand in for torchvision, whether it is installed or not, so that everybody runs the
same code; see docs/decisions/0013.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from inkwash.core.errors import DamagedFile, InkwashError, MissingLibrary, UnsupportedModel
from inkwash.runtime.memory import out_of_memory

StateDict = dict[str, Tensor]

WRAPPERS = ("params_ema", "params-ema", "params", "", "model_state_dict", "model", "net", "generator", "g_ema")
"""What trainers nest a network's weights in, best first; "": nothing."""

EXTRA = "spandrel_extra_arches"
"""CodeFormer and others whose licences forbid commercial use: never installed by Inkwash, used where a person did."""

CODEFORMER = ("position_emb", "idx_pred_layer.1.weight", "quantize.embedding.weight")  # weights that only it has

STOOD_IN = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")


@cache
def spandrel() -> Any:
    """The library.  Raises InkwashError if it is not installed."""
    with _torchvision_stood_in():
        try:
            import spandrel as library
        except ImportError as error:
            raise InkwashError(
                f"Learned upscalers need the package spandrel, which cannot be imported: {error}.",
                "Install it into the same environment: pip install --no-deps spandrel",
            ) from error
    return library


@cache
def _extra() -> Any:
    """The library's second part; None where it is not installed."""
    spandrel()
    with _torchvision_stood_in():
        try:
            return importlib.import_module(EXTRA)
        except ImportError:
            return None


def network_of(weights: Mapping[str, Tensor], name: str) -> Any:
    """spandrel's description of the network with its module inside, float32, on the CPU.

    weights: as a file names them.  name: for errors.  Raises UnsupportedModel, DamagedFile or MissingLibrary.
    """
    library = spandrel()
    for state in _unwrapped(weights):
        architecture = _detected(library, state)
        if architecture is not None:
            return _loaded(architecture, state, name)
        if all(key in state for key in CODEFORMER):
            raise MissingLibrary(
                f"{name} is a CodeFormer.  Its licence forbids commercial use, so what runs it does not come along.",
                f"If the licence suits you, install it into the same environment: pip install --no-deps {EXTRA}",
            )
    raise UnsupportedModel(
        f"{name} is no upscaler or face restorer of a known architecture.",
        f"Known are {', '.join(sorted(support.architecture.name for support in library.MAIN_REGISTRY))}.",
    )


def _unwrapped(weights: Mapping[str, Tensor]) -> Iterator[StateDict]:
    """The weights without each of the wrappers they may be in, its own names read as spandrel reads them."""
    for wrapper in WRAPPERS:
        prefix = f"{wrapper}." if wrapper else ""
        inside = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        if inside:
            yield spandrel().canonicalize_state_dict(inside)


def _detected(library: Any, state: StateDict) -> Any:
    extra = _extra()
    for registry in (library.MAIN_REGISTRY, *([extra.EXTRA_REGISTRY] if extra else [])):
        for support in registry.architectures("detection"):
            if support.detect(state):
                return support.architecture
    return None


def _loaded(architecture: Any, state: StateDict, name: str) -> Any:
    """Whatever spandrel raises while it reads sizes from shapes, or fills the network, is the file's fault."""
    for key, weight in state.items():
        if not bool(weight.float().sum().isfinite()):
            raise DamagedFile(f"The weight {key} of {name} is not finite.", "Download the file again.")
    try:
        network = architecture.load(state)
    except Exception as error:
        if out_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise DamagedFile(
            f"{name} looks like {architecture.name}, but its weights do not fit: {reason}.",
            "Download the file again, or use another version of it.",
        ) from error
    network.model.eval().requires_grad_(False)
    return network


@contextmanager
def _torchvision_stood_in() -> Iterator[None]:
    before = {name: sys.modules.pop(name) for name in STOOD_IN if name in sys.modules}
    modules = {name: ModuleType(name) for name in STOOD_IN}
    functional = modules[STOOD_IN[-1]]
    functional.__dict__.update(normalize=_normalize, rotate=_absent, InterpolationMode=_absent)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in STOOD_IN:
            del sys.modules[name]
        sys.modules.update(before)


def _normalize(picture: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(..., C, H, W) with each channel less its mean, over its deviation."""
    shift, scale = (torch.tensor(values).to(picture)[:, None, None] for values in (mean, std))
    return (picture - shift) / scale


def _absent(*arguments: object) -> Tensor:
    raise UnsupportedModel("LaMa fills masks; it enlarges nothing.", "Use a model made for enlarging.")


__all__ = ["network_of", "spandrel"]
