"""Part of a checkpoint as a file of its own: converted, or pruned of what drawing does not need."""

from __future__ import annotations

import re
from collections.abc import Mapping

from inkwash.checkpoint.files import Source
from inkwash.checkpoint.keys import LDM_EMA
from inkwash.checkpoint.match import check_keys, ema_names
from inkwash.checkpoint.plan import Plan, Reader, cast, file_dtype, written_dtype
from inkwash.checkpoint.spec import ModelSpec

_LOSS = re.compile(r"(first_stage_model\.|vae\.)?loss\.")


def everything(source: Source, dtype: str | None = None) -> Plan:
    """All tensors under their names.  dtype: "float16", ... for the weights; None: as stored."""
    return _selected(source, {name: name for name in source.header.tensors}, dtype, {})


def pruned(source: Source, spec: ModelSpec, *, ema: bool = False, dtype: str | None = None) -> Plan:
    """The weights that drawing uses, and small tables.

    EMA copies, the VAE's training loss and tensors of no network are left out; optimiser states are no part of a
    source.  ema: the U-Net's EMA copies instead of its plain weights.
    """
    tensors = source.header.tensors
    report = check_keys(spec, source.header)
    used = set(report.found.values())
    unused = {name for name in report.unexpected if name not in used}
    groups = {
        "EMA copies": {name for name in tensors if name.startswith(LDM_EMA)},
        "the VAE's training loss": {name for name in tensors if _LOSS.match(name)},
        "tensors of no network": {name for name in unused if not name.startswith(LDM_EMA)},
    }
    left_out = set().union(*groups.values())
    keys = {name: name for name in tensors if name not in left_out}
    if ema:
        keys |= ema_names(spec, tensors, keys, "Keep the plain weights: prune it without --ema.")
        groups["EMA copies"] -= set(keys.values())
        groups["plain U-Net weights"] = {name for name in keys if keys[name] != name}
    dropped = {group: sum(tensors[name].nbytes for name in names) for group, names in groups.items() if names}
    return _selected(source, keys, dtype, dropped)


def _selected(source: Source, keys: Mapping[str, str], dtype: str | None, dropped: Mapping[str, int]) -> Plan:
    """keys: name in the new file -> name in ``source``."""
    wanted = file_dtype(dtype)
    infos = source.header.tensors
    read = Reader(source)
    kinds = {name: written_dtype(name, infos[key].dtype, wanted) for name, key in keys.items()}
    return Plan(
        {name: (kinds[name], infos[key].shape) for name, key in keys.items()},
        lambda name: cast(name, read(keys[name]), kinds[name]),
        source.header.metadata,
        dropped,
    )
