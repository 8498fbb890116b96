"""The safetensors header: what a file holds and where, proved sound before a byte of data is touched.

Layout of a file: 8 bytes little-endian length N, N bytes of JSON, data.  The JSON maps each tensor's name to dtype,
shape and data_offsets; "__metadata__" maps strings to strings.  Data must be covered exactly: no overlap, hole or tail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeGuard

from inkwash.checkpoint.header_text import HeaderText, shown
from inkwash.checkpoint.regular import damaged, foreign_format, opened

MAX_HEADER = 100_000_000  # bytes; the format's own limit
MAX_DIMENSIONS = 64  # PyTorch's own limit

DTYPE_BITS = {
    **{"BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64, "C64": 64},
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F16": 16, "BF16": 16, "F32": 32, "F64": 64},
    **{"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8},
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies.  ``offset`` counts bytes from the start of ``path``."""

    dtype: str  # as in the file: "F32", "BF16", ...
    shape: tuple[int, ...]
    offset: int
    nbytes: int
    path: Path


@dataclass(frozen=True)
class Header:
    """What a checkpoint holds, without its data.  ``path`` is a file, or the folder of a diffusers pipeline."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_file_header(path: Path) -> Header:
    """The header of one safetensors file.  Raises ModelNotFound, UnsupportedModel or DamagedFile."""
    with opened(path) as (file, size):
        return parse_header(path, file, size)


def parse_header(path: Path, file: BinaryIO, size: int) -> Header:
    """The header of the open ``file`` of ``size`` bytes; reads at most ``MAX_HEADER`` bytes of it."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(MAX_HEADER, size - 8):
        foreign_format(path, start + file.read(56))
        raise damaged(path, _bad_length(size, length))
    text = file.read(length)
    if len(text) < length:
        raise damaged(path, "it shrank while it was being read")
    try:
        described, metadata = HeaderText(text).parse()
        tensors = {name: _tensor_info(name, fields, path, 8 + length) for name, fields in described.items()}
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        if not text.startswith(b"{"):
            foreign_format(path, start + text[:56])
        raise damaged(path, f"its header is not valid: {error}") from None
    _check_coverage(path, tensors, 8 + length, size)
    return Header(path, tensors, metadata)


def _bad_length(size: int, length: int) -> str:
    if size < 8:
        return f"it is only {size} bytes long" if size else "it is empty"
    if length > size - 8:
        return f"its header claims {length} bytes but the file has only {size}"
    return f"its header claims {length} bytes; more than {MAX_HEADER} are not accepted"


def _tensor_info(name: str, fields: Mapping[str, object], path: Path, data_start: int) -> TensorInfo:
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise ValueError(f"tensor {shown(name)} has the unknown dtype {shown(dtype)}")
    if not _is_sizes(shape):
        raise ValueError(f"tensor {shown(name)} has the impossible shape {shown(shape)}")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"tensor {shown(name)} has the impossible offsets {shown(offsets)}")
    start, end = offsets
    if _bits(shape, DTYPE_BITS[dtype]) != 8 * (end - start):
        raise ValueError(f"tensor {shown(name)} of shape {shown(shape)} and {dtype} cannot have {end - start} bytes")
    return TensorInfo(dtype, tuple(shape), data_start + start, end - start, path)


def _is_sizes(value: object) -> TypeGuard[list[int]]:
    """Is it a short list of whole numbers from 0 to 2**63 - 1?  ``true`` and 1.0 are no whole numbers here."""
    return (
        isinstance(value, list)
        and len(value) <= MAX_DIMENSIONS
        and all(type(number) is int and 0 <= number < 2**63 for number in value)
    )


def _bits(shape: list[int], bits: int) -> int | None:
    """Bits of a tensor; None where the product of dimensions, taken in order, passes 2**63 (as [2**62, 4, 0] does)."""
    for number in shape:
        bits *= number
        if bits >= 2**63:
            return None
    return bits


def _check_coverage(path: Path, tensors: Mapping[str, TensorInfo], data_start: int, size: int) -> None:
    """Raises DamagedFile unless the tensors, by offset, fill the file from ``data_start`` to ``size`` exactly."""
    expected = data_start
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].offset, item[1].nbytes)):
        end = info.offset + info.nbytes
        if end > size:
            raise damaged(path, f"tensor {shown(name)} ends at byte {end} but the file at {size}: it was cut short")
        if info.offset != expected:
            what = "overlaps the one before it" if info.offset < expected else "follows a gap that belongs to no tensor"
            raise damaged(path, f"tensor {shown(name)} {what}")
        expected = end
    if expected != size:
        raise damaged(path, f"{size - expected} bytes at its end belong to no tensor")
