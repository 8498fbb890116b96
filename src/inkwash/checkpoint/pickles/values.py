"""What a pickle may come to: plain Python values, and these.  None of them can do anything."""

from __future__ import annotations

from dataclasses import dataclass


class Refused(Exception):
    """The file is broken, hostile or beyond this reader; ``reason`` continues "was refused: "."""

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Name:
    """A global that the pickle mentions.  Only its text: nothing of that name is ever looked up."""

    text: str  # "torch.FloatStorage"


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers beside the pickle.  dtype: of safetensors ("F32"); None: the tensor says."""

    dtype: str | None
    key: str
    numel: int  # elements; bytes if dtype is None
    start: int = 0  # elements of ``key`` before the first, in old files


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(slots=True, eq=False)
class Inert:
    """An object that is not rebuilt, such as a trainer's setting: its class by name, its state as plain values."""

    name: Name
    state: object = None


def key(value: object) -> object:
    """``value`` if it may be a key: plain, so that hashing and comparing it runs no code and needs no recursion."""
    parts = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(part, str | bytes | int | float | Name | None) for part in parts):
        raise Refused("its pickle uses something as a key that cannot be one")
    return value


def pairs(values: list[object]) -> dict[object, object]:
    if len(values) % 2:
        raise Refused("its pickle has a key without a value")
    return {key(name): value for name, value in zip(values[::2], values[1::2], strict=True)}
