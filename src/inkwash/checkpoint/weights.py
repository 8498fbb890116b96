"""A model's weights as a plan under diffusers' names, whatever they come from: what every layout is written of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from inkwash.checkpoint.files import Source, dtype_name
from inkwash.checkpoint.header import TensorInfo
from inkwash.checkpoint.keys import LDM_EMA
from inkwash.checkpoint.match import KeyReport, check_keys
from inkwash.checkpoint.openclip import cut
from inkwash.checkpoint.parameters import parameters
from inkwash.checkpoint.plan import Plan, Reader, cast, file_dtype
from inkwash.checkpoint.spec import ModelSpec

if TYPE_CHECKING:
    import torch


def stored_weights(source: Source, spec: ModelSpec, dtype: str | None = None) -> Plan:
    """Those of the model in ``source``, read one at a time; all else in it is dropped.

    spec: as detected, so that ``source`` is known to be complete.  dtype: "float16", ...; None: as stored.
    """
    report, wanted = check_keys(spec, source.header), file_dtype(dtype)
    keys, infos, shapes = report.found, source.header.tensors, parameters(spec)
    kinds = {name: wanted or infos[key].dtype for name, key in keys.items()}
    read = Reader(source)

    def make(name: str) -> torch.Tensor:
        key = keys[name]
        return cast(name, cut(read(key), key, name).reshape(shapes[name]), kinds[name])

    tensors = {name: (kind, shapes[name]) for name, kind in kinds.items()}
    return Plan(tensors, make, source.header.metadata, _dropped(report, infos))


def held_weights(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> Plan:
    """Those in memory, in their dtypes; each is asked for twice."""
    layout = {name: (dtype_name(tensor.dtype), tuple(tensor.shape)) for name, tensor in tensors.items()}
    return Plan(layout, tensors.__getitem__, metadata or {})


def check_exact(weights: Plan, spec: ModelSpec) -> None:
    """Raises ValueError unless the plan holds exactly the weights of ``spec``."""
    different = sorted(set(weights.tensors) ^ set(parameters(spec)))
    if different:
        raise ValueError(f"{len(different)} tensors are missing or not of this model, such as {different[0]}")


def _dropped(report: KeyReport, infos: Mapping[str, TensorInfo]) -> dict[str, int]:
    copies = [name for name in report.ignored if name.startswith(LDM_EMA)]
    groups = {
        "EMA copies": copies,
        "the depth estimator": report.depth_model,
        "tables and unused layers": set(report.ignored) - set(copies),
        "tensors of no network": report.unexpected,
    }
    amounts = {group: sum(infos[name].nbytes for name in names) for group, names in groups.items()}
    return {group: amount for group, amount in amounts.items() if amount}
