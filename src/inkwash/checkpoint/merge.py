"""Two or three checkpoints of one structure made one, tensor by tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from inkwash.checkpoint.blocks import Blocks
from inkwash.checkpoint.files import Source
from inkwash.checkpoint.keys import LDM_EMA
from inkwash.checkpoint.match import check_keys
from inkwash.checkpoint.plan import Plan, Reader, cast, file_dtype, written_dtype
from inkwash.checkpoint.spec import ModelSpec
from inkwash.core.errors import InkwashError, InvalidRequest

if TYPE_CHECKING:
    import torch

Mode = Literal["weighted-sum", "add-difference"]
MODES: dict[str, str] = {"weighted-sum": "Weighted sum", "add-difference": "Add difference"}  # A1111's names


@dataclass(frozen=True)
class Part:
    """One of the models that are merged.  sha256: None for a folder."""

    source: Source
    spec: ModelSpec
    sha256: str | None = None


@dataclass(frozen=True)
class Recipe:
    """weighted-sum: A (1 - alpha) + B alpha.  add-difference: A + (B - C) alpha.  blocks take alpha's place."""

    mode: Mode = "weighted-sum"
    alpha: float = 0.5
    blocks: Blocks | None = None

    def weight(self, key: str) -> float:
        return self.blocks.weight(key) if self.blocks else self.alpha


def mode_named(name: str, models: int) -> Mode:
    """The mode of that name; "": what the number of models suggests.  Raises InvalidRequest."""
    if not name:
        return "add-difference" if models == 3 else "weighted-sum"
    if name not in MODES:
        raise InvalidRequest(f"mode is {name!r}; known are {', '.join(MODES)}.", "Choose one of these.")
    return "weighted-sum" if name == "weighted-sum" else "add-difference"


def merged(parts: Sequence[Part], recipe: Recipe, dtype: str | None = None) -> Plan:
    """The plan of the merged file, in the names of the first model.

    What only the first has (tables, position numbers) is taken from it; EMA copies, which would be those of another
    model, are left out.  An inpainting model's extra input channels are its own.  Raises InvalidRequest.
    """
    _check(parts, recipe)
    first, wanted = parts[0], file_dtype(dtype)
    infos = first.source.header.tensors
    others = [_keys_of(first, other) for other in parts[1:]]
    left_out = {name for name in infos if name.startswith(LDM_EMA)}
    readers = [Reader(part.source) for part in parts]
    kinds = {name: written_dtype(name, info.dtype, wanted) for name, info in infos.items() if name not in left_out}

    def make(name: str) -> torch.Tensor:
        if name not in others[0]:
            return cast(name, readers[0](name), kinds[name])
        held = [readers[0](name), *(read(keys[name]) for read, keys in zip(readers[1:], others, strict=True))]
        return _finite(name, cast(name, _blended(name, held, recipe), kinds[name]))

    return Plan(
        {name: (kind, infos[name].shape) for name, kind in kinds.items()},
        make,
        dict(first.source.header.metadata) | _told(parts, recipe, dtype),
        {"EMA copies": sum(infos[name].nbytes for name in left_out)} if left_out else {},
        _notes(parts),
    )


def _blended(name: str, held: Sequence[torch.Tensor], recipe: Recipe) -> torch.Tensor:
    import torch

    precise = torch.float64 if any(tensor.dtype == torch.float64 for tensor in held) else torch.float32
    first, *rest = (tensor.to(precise) for tensor in held)
    alpha = recipe.weight(name)
    if any(tensor.numel() != first.numel() for tensor in rest):
        return _widened(name, first, rest, recipe)
    rest = [tensor.reshape(first.shape) for tensor in rest]  # a 1x1 convolution may be stored as a matrix
    if recipe.mode == "weighted-sum":
        return torch.lerp(first, rest[0], alpha)
    return (rest[0] - rest[1]).mul_(alpha).add_(first)


def _widened(name: str, first: torch.Tensor, rest: Sequence[torch.Tensor], recipe: Recipe) -> torch.Tensor:
    """The first layer of an inpainting model with that of plain ones: only the channels both have are merged."""
    channels = min(tensor.shape[1] for tensor in (first, *rest))
    result = first.clone()
    result[:, :channels] = _blended(name, [tensor[:, :channels] for tensor in (first, *rest)], recipe)
    return result


def _finite(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if not bool(tensor.isfinite().all()):
        raise InkwashError(
            f"The merged weight {name} is not finite.", "One of the models is damaged, or alpha too large."
        )
    return tensor


def _check(parts: Sequence[Part], recipe: Recipe) -> None:
    needed = 3 if recipe.mode == "add-difference" else 2
    if len(parts) != needed:
        raise InvalidRequest(
            f"{recipe.mode} merges {needed} models; {len(parts)} are given.", "Name A, B and, to subtract, C."
        )
    first = parts[0].spec
    for part in parts:
        if part.spec.layout != "ldm":
            message = f"{part.spec.path} is a folder; merging works on single files."
            raise InvalidRequest(message, "Convert it first: inkwash models convert FOLDER FILE.safetensors")
        same = part.spec.family == first.family and part.spec.unet.channels == first.unet.channels
        if not same or (part.spec.unet.in_channels > first.unet.in_channels):
            message = f"{part.spec.path} and {first.path} are built differently."
            raise InvalidRequest(message, "Merge models of one family; an inpainting model comes first.")


def _keys_of(first: Part, other: Part) -> Mapping[str, str]:
    """The first model's names of its weights -> the other's.  Raises InvalidRequest where shapes differ."""
    ours, theirs = check_keys(first.spec, first.source.header).found, check_keys(other.spec, other.source.header).found
    keys = {key: theirs[name] for name, key in ours.items() if name in theirs}
    for key, other_key in keys.items():
        shapes = first.source.header.tensors[key].shape, other.source.header.tensors[other_key].shape
        if shapes[0] != shapes[1] and not key.endswith(".input_blocks.0.0.weight"):
            message = (
                f"{key} has the shape {list(shapes[0])} in {first.spec.path}, {list(shapes[1])} in {other.spec.path}."
            )
            raise InvalidRequest(message, "Merge models of one structure.")
    return keys


def _notes(parts: Sequence[Part]) -> tuple[str, ...]:
    predictions = {part.spec.prediction for part in parts}
    return ("the models predict different things (eps, v): the result may be useless",) if len(predictions) > 1 else ()


def _told(parts: Sequence[Part], recipe: Recipe, dtype: str | None) -> dict[str, str]:
    """The recipe as A1111 writes it, so that its tools and others can read where a model comes from."""
    hashes = [part.sha256 for part in parts]
    told = {
        "type": "inkwash",
        **dict(
            zip(
                ("primary_model_hash", "secondary_model_hash", "tertiary_model_hash"), [*hashes, None][:3], strict=False
            )
        ),
        "interp_method": MODES[recipe.mode],
        "multiplier": recipe.alpha,
        "dtype": dtype,
        "block_weights": list(recipe.blocks.numbers) if recipe.blocks else None,
    }
    models: dict[str, object] = {}
    for part in parts:
        metadata = part.source.header.metadata
        models |= _json_object(metadata.get("sd_merge_models"))
        own = _json_object(metadata.get("sd_merge_recipe"))
        models[part.sha256 or part.spec.name] = {"name": part.spec.path.name, "sd_merge_recipe": own or None}
    return {"format": "pt", "sd_merge_recipe": json.dumps(told), "sd_merge_models": json.dumps(models)}


def _json_object(text: str | None) -> dict[str, object]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
