"""Models made of models: one order for the command line, the service and its worker, and the plan it comes to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

from inkwash.checkpoint import places
from inkwash.checkpoint.blocks import parse_blocks
from inkwash.checkpoint.catalog import Catalog, Entry
from inkwash.checkpoint.convert import ldm_file
from inkwash.checkpoint.detect import detect
from inkwash.checkpoint.files import open_source
from inkwash.checkpoint.header import DTYPE_BITS
from inkwash.checkpoint.merge import Part, Recipe, merged, mode_named
from inkwash.checkpoint.pipeline import diffusers_folder
from inkwash.checkpoint.plan import Plan
from inkwash.checkpoint.select import everything, pruned
from inkwash.checkpoint.weights import stored_weights
from inkwash.core import files
from inkwash.core.errors import InvalidRequest

Task = Literal["convert", "prune", "merge"]
SUFFIX = ".safetensors"  # Inkwash writes safetensors, never pickles


@dataclass(frozen=True, kw_only=True)
class Making:
    """What is to be made.  sources: names as ``Catalog.find`` takes them; one, and for merging two or three.

    dtype: of the weights; None: as stored.  folder: of converting: a diffusers folder instead of a file.  ema: of
    pruning: the EMA weights are kept.  The rest is merging's: "" for mode means what the number of models suggests.
    """

    task: Task
    sources: tuple[str, ...]
    dtype: str | None = None
    folder: bool = False
    ema: bool = False
    mode: str = ""
    alpha: float = 0.5
    blocks: str | None = None
    base: float | None = None


@contextmanager
def planned(making: Making, catalog: Catalog, *, hashed: bool = True) -> Iterator[Plan]:
    """The plan; its sources are open as long as the block lasts.

    hashed: compute the hashes that a merged file tells of its parents (2 s a GB); else only known ones are told.
    Raises ModelNotFound, InvalidRequest, and what reading the files may raise.
    """
    found = [catalog.find(name) for name in making.sources]
    if making.task != "merge" and len(found) != 1:
        raise InvalidRequest(f"One model is taken to {making.task}; {len(found)} are named.", "Name one.", "sources")
    with ExitStack() as stack:
        if making.task == "merge":
            parts = [_part(catalog.with_hash(entry) if hashed else entry, stack) for entry in found]
            yield _merged(making, parts)
        elif making.task == "prune":
            yield _pruned(making, found[0], stack)
        else:
            yield _converted(making, found[0].path, stack)


def target_of(making: Making, name: str, root: Path) -> Path:
    """Where a model made by the service goes: under a plain name, into the folder of models.  Raises InvalidRequest."""
    return places.home(root, "model") / (places.plain_name(name) + ("" if making.folder else SUFFIX))


def check_target(target: Path) -> None:
    """Raises InvalidRequest if something has the name already."""
    if target.exists() or target.is_symlink():
        raise InvalidRequest(f"{target.name} exists already.", "Choose another name.", "name")


def told(plan: Plan, target: Path) -> dict[str, Any]:
    """The plan in plain data, for people to see before anything is written."""
    return {
        "tensors": len(plan.tensors),
        "bytes": plan.nbytes,
        "dtypes": _dtypes(plan),
        "dropped": dict(plan.dropped),
        "notes": list(plan.notes),
        "free": files.free_space(target),
    }


def _converted(making: Making, path: Path, stack: ExitStack) -> Plan:
    """A single file stays as it is unless it becomes a folder."""
    source = stack.enter_context(open_source(path))
    if not making.folder and not path.is_dir():
        return everything(source, making.dtype)
    spec = detect(path)
    weights = stored_weights(source, spec, making.dtype)
    return diffusers_folder(weights, spec) if making.folder else ldm_file(weights, spec)


def _pruned(making: Making, entry: Entry, stack: ExitStack) -> Plan:
    if entry.path.is_dir():
        raise InvalidRequest(f"{entry.name} is a folder, which holds nothing to prune.", "Convert it instead.")
    source = stack.enter_context(open_source(entry.path))
    return pruned(source, detect(entry.path), ema=making.ema, dtype=making.dtype)


def _merged(making: Making, parts: list[Part]) -> Plan:
    mode = mode_named(making.mode, len(parts))
    if not parts:
        raise InvalidRequest("No models are named.", "Name two, or three.", "sources")
    base = making.alpha if making.base is None else making.base
    tensors = parts[0].source.header.tensors
    blocks = parse_blocks(making.blocks, tensors, base) if making.blocks is not None else None
    return merged(parts, Recipe(mode, making.alpha, blocks), making.dtype)


def _part(entry: Entry, stack: ExitStack) -> Part:
    return Part(stack.enter_context(open_source(entry.path)), detect(entry.path), entry.sha256)


def _dtypes(plan: Plan) -> dict[str, int]:
    """Bytes of each dtype, most first."""
    amounts: dict[str, int] = {}
    for dtype, shape in plan.tensors.values():
        amounts[dtype] = amounts.get(dtype, 0) + prod(shape) * DTYPE_BITS[dtype] // 8
    return dict(sorted(amounts.items(), key=lambda item: -item[1]))
