"""DPT-hybrid out of files: MiDaS's own, a checkpoint that carries one, or a folder of transformers'."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from inkwash.checkpoint.files import Source, open_source
from inkwash.checkpoint.match import DEPTH_MODEL
from inkwash.core.errors import DamagedFile, UnsupportedModel
from inkwash.models.dpt import DPT, GROUPS, DPTSpec, count
from inkwash.models.dpt_names import transformers_names
from inkwash.models.load import fill
from inkwash.runtime.device import Compute

_PREFIXES = (f"{DEPTH_MODEL}model.", "model.", "")  # in SD 2's depth checkpoint; in copies of it; in MiDaS's own file
_MARK, _THEIR_MARK = "pretrained.model.cls_token", "dpt.embeddings.cls_token"
_THEIR_BACKBONE = "dpt.embeddings.backbone."


def is_dpt_hybrid(path: Path) -> bool:
    """Whether the weights at ``path`` are one that is read here, under either library's names."""
    with open_source(path) as source:
        return _prefix(source) is not None or _is_transformers(source)


def load_dpt(path: Path, compute: Compute) -> DPT:
    """Raises UnsupportedModel if there is no DPT-hybrid in the file or folder, DamagedFile if it is not whole."""
    with open_source(path) as source:
        prefix = _prefix(source)
        if prefix is None and not _is_transformers(source):
            message = f"{path} holds no depth model of the kind DPT-hybrid (dpt_hybrid-midas)."
            raise UnsupportedModel(message, "Choose another depth model, or give a depth map.")
        weights = _Weights(source, prefix)
        network = _built(path, weights)
        _check(path, network, weights)
        fill(network, weights.of(network), compute)
    return network.eval().requires_grad_(False)


class _Weights:
    """The weights in a file by MiDaS's names, whatever they are called there.  prefix: None under transformers'."""

    def __init__(self, source: Source, prefix: str | None) -> None:
        self.source = source
        tensors = source.header.tensors
        self.keys: dict[str, tuple[str, ...]]
        if prefix is not None:
            self.keys = {key.removeprefix(prefix): (key,) for key in tensors if key.startswith(prefix)}
        else:
            self.keys = {}
            for name, keys in transformers_names(_asked(source)).items():
                if all(key in tensors for key in keys):
                    self.keys[name] = keys

    def shape(self, name: str) -> tuple[int, ...]:
        first, *rest = (self.source.header.tensors[key].shape for key in self.keys[name])
        return (first[0] + sum(shape[0] for shape in rest), *first[1:]) if first else ()

    def of(self, network: DPT) -> Iterator[tuple[str, Tensor]]:
        for name in network.state_dict():
            parts = [self.source.tensor(key) for key in self.keys[name]]
            yield name, torch.cat(parts) if len(parts) > 1 else parts[0]


def _prefix(source: Source) -> str | None:
    return next((prefix for prefix in _PREFIXES if prefix + _MARK in source.header.tensors), None)


def _is_transformers(source: Source) -> bool:
    tensors = source.header.tensors
    return _THEIR_MARK in tensors and any(key.startswith(_THEIR_BACKBONE) for key in tensors)


def _asked(source: Source) -> list[str]:
    """MiDaS's names of all that a folder of transformers' must hold: a network with as many layers, of any width."""
    tensors = source.header.tensors
    stages = [count(tensors, f"{_THEIR_BACKBONE}bit.encoder.stages.{i}.layers.", ".conv1.weight") for i in range(3)]
    layers = count(tensors, "dpt.encoder.layer.", ".layernorm_before.weight")
    sizes = tuple((blocks, GROUPS, GROUPS) for blocks in stages)
    with torch.device("meta"):
        return list(DPT(DPTSpec(64, layers, 64, 1, GROUPS, sizes, (64, 64), 64)).state_dict())


def _built(path: Path, weights: _Weights) -> DPT:
    try:
        spec = DPTSpec.of({name: weights.shape(name) for name in weights.keys})
        with torch.device("meta"):
            return DPT(spec)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        reason = f"a weight is missing or misshapen: {str(error)[:120]}"
        raise DamagedFile(f"The depth model in {path} is not whole; {reason}.", "Download it again.") from None


def _check(path: Path, network: DPT, weights: _Weights) -> None:
    for name, tensor in network.state_dict().items():
        found = weights.shape(name) if name in weights.keys else None
        if found != tuple(tensor.shape):
            told = "is missing" if found is None else f"has the shape {list(found)} instead of {list(tensor.shape)}"
            raise DamagedFile(f"The depth model in {path} is not whole; {name} {told}.", "Download it again.")
