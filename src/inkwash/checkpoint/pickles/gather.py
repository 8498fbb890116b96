"""The elements of a strided view in order, as bytes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Literal

from inkwash.checkpoint.pickles.kinds import itemsize
from inkwash.checkpoint.pickles.values import Tensor

PIECE = 16_000_000  # bytes made at a time
_FORMATS: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


def gathered(storage: memoryview, tensor: Tensor) -> Iterator[memoryview]:
    """The tensor's elements, row by row, in pieces; ``storage``: the bytes of its whole storage."""
    width = itemsize(tensor.dtype)
    start = tensor.storage.start + tensor.offset
    if 0 in tensor.shape:
        return
    dimensions = [(size, step) for size, step in zip(tensor.shape, tensor.stride, strict=True) if size != 1]
    if _contiguous(dimensions):
        end = (start + prod(tensor.shape)) * width
        for at in range(start * width, end, PIECE):
            yield storage[at : min(at + PIECE, end)]
        return
    whole = storage[: len(storage) // width * width].cast(_FORMATS[width])
    yield from _strided(whole, start, dimensions)


def _contiguous(dimensions: list[tuple[int, int]]) -> bool:
    expected = 1
    for size, step in reversed(dimensions):
        if step != expected:
            return False
        expected *= size
    return True


def _strided(numbers: memoryview, start: int, dimensions: list[tuple[int, int]]) -> Iterator[memoryview]:
    """Splits along the first dimension until a piece is small enough."""
    (size, step), rest = dimensions[0], dimensions[1:]
    rows = max(1, PIECE // (numbers.itemsize * prod(extent for extent, _ in rest)))
    for at in range(0, size, rows):
        here = min(rows, size - at)
        if here == 1 and rest:
            yield from _strided(numbers, start + at * step, rest)
        else:
            yield _piece(numbers, start + at * step, [(here, step), *rest])


def _piece(numbers: memoryview, start: int, dimensions: list[tuple[int, int]]) -> memoryview:
    """One copy of slices for each index of all dimensions but the longest, along which slices run."""
    strides = [1]
    for size, _ in reversed(dimensions[1:]):
        strides.insert(0, strides[0] * size)
    total = strides[0] * dimensions[0][0]
    made = memoryview(bytearray(total * numbers.itemsize)).cast(_FORMATS[numbers.itemsize])
    longest = max(range(len(dimensions)), key=lambda index: dimensions[index][0])
    length, step = dimensions[longest]
    others = [index for index in range(len(dimensions)) if index != longest]
    for place in product(*(range(dimensions[index][0]) for index in others)):
        source = start + sum(dimensions[index][1] * number for index, number in zip(others, place, strict=True))
        target = sum(strides[index] * number for index, number in zip(others, place, strict=True))
        target_step = strides[longest]
        run = slice(target, target + (length - 1) * target_step + 1, target_step)
        if step:
            made[run] = numbers[source : source + (length - 1) * step + 1 : step]
        else:
            made[run] = memoryview(bytes(numbers[source : source + 1]) * length).cast(_FORMATS[numbers.itemsize])
    return made.cast("B")
