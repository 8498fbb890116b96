"""From the value of a pickle to tensors with names, each proved to lie within its storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from inkwash.checkpoint.header_text import MAX_ENTRIES, shown
from inkwash.checkpoint.pickles.kinds import itemsize
from inkwash.checkpoint.pickles.values import Inert, Refused, Tensor

MAX_VISITS = 500_000  # values looked at; a memo can make a small pickle stand for a tree of any size
MAX_DEPTH = 32
MAX_FACTS, MAX_FACT = 100, 1000  # plain values kept as metadata, characters of each


def named_tensors(root: object) -> dict[str, Tensor]:
    """The weights by name: those of the ``state_dict`` if there is one, else all, joined by "." ("0.linear.weight").

    What lies beside a ``state_dict`` is the trainer's: optimiser states, callbacks, loop counters.
    """
    if isinstance(root, dict) and isinstance(root.get("state_dict"), dict):
        root = root["state_dict"]
    tensors: dict[str, Tensor] = {}
    for name, tensor in _walk(root):
        if name in tensors:
            raise Refused(f"two of its tensors are called {shown(name)}")
        if len(tensors) == MAX_ENTRIES:
            raise Refused(f"it holds more than {MAX_ENTRIES} tensors")
        tensors[name] = tensor
    if not tensors:
        raise Refused("it holds no tensors", "Choose a checkpoint; this may be a file of another program.")
    return tensors


def _walk(root: object) -> Iterator[tuple[str, Tensor]]:
    waiting: list[tuple[str, object, int]] = [("", root, 0)]
    for _ in range(MAX_VISITS):
        if not waiting:
            return
        name, value, depth = waiting.pop()
        if isinstance(value, Tensor):
            yield _checked_name(name or "tensor"), value
        elif children := _children(value):
            if depth == MAX_DEPTH:
                raise Refused(f"its values are nested more than {MAX_DEPTH} deep")
            waiting += [(f"{name}.{key}" if name else key, child, depth + 1) for key, child in reversed(children)]
    raise Refused("its values refer to each other so often that they never end: a bomb")


def _children(value: object) -> list[tuple[str, object]]:
    if isinstance(value, Inert) and isinstance(value.state, dict):
        value = value.state.get("_parameters")  # of a ParameterDict
    if isinstance(value, Mapping):
        return [(str(key), child) for key, child in value.items() if isinstance(key, str | int)]
    return [(str(index), child) for index, child in enumerate(value)] if isinstance(value, list | tuple) else []


def _checked_name(name: str) -> str:
    if len(name) > MAX_FACT or not name.isprintable():
        raise Refused(f"it holds a tensor with the impossible name {shown(name)}")
    return name


def facts(root: object) -> dict[str, str]:
    """Plain values at the top, such as a training checkpoint's ``global_step`` or an embedding's ``name``."""
    if not isinstance(root, dict):
        return {}
    plain = {key: value for key, value in root.items() if isinstance(key, str) and key.isprintable() and len(key) < 100}
    texts = {key: str(value) for key, value in plain.items() if isinstance(value, str | int | float)}
    kept = {key: text for key, text in texts.items() if len(text) <= MAX_FACT and text.isprintable()}
    return dict(list(kept.items())[:MAX_FACTS])


def check_view(name: str, tensor: Tensor) -> int:
    """Bytes of the tensor.  Raises Refused unless every element lies within its storage."""
    width = itemsize(tensor.dtype)
    count = prod(tensor.shape)
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride, strict=True))
    storage = tensor.storage
    if storage.dtype not in (None, tensor.dtype):
        raise Refused(f"its tensor {shown(name)} has another dtype than its storage")
    elements = storage.numel if storage.dtype else storage.numel // width
    if count and last >= elements:
        raise Refused(f"its tensor {shown(name)} reaches beyond its storage of {elements} numbers")
    return count * width
