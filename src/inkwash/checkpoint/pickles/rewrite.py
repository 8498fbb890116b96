"""From the bytes of a pickled checkpoint to a safetensors file, copied piece by piece."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from inkwash.checkpoint.header import DTYPE_BITS, MAX_HEADER
from inkwash.checkpoint.pickles.cursor import Cursor
from inkwash.checkpoint.pickles.gather import gathered
from inkwash.checkpoint.pickles.kinds import itemsize, storage_dtype
from inkwash.checkpoint.pickles.legacy import read_legacy
from inkwash.checkpoint.pickles.machine import MAX_BYTES, Machine
from inkwash.checkpoint.pickles.tensors import check_view, facts, named_tensors
from inkwash.checkpoint.pickles.values import Refused, Storage, Tensor
from inkwash.checkpoint.pickles.zipped import ZipFile, open_zip

MAX_GROWTH = 4  # times the file: tensors that share a storage are written each by itself
ALLOWANCE = 16_000_000  # bytes on top


@dataclass(frozen=True)
class _Checkpoint:
    root: object
    read: Callable[[str], memoryview]  # the bytes of a storage by its key


def rewrite(data: memoryview, out: BinaryIO) -> None:
    """Reads the checkpoint that fills ``data`` and writes its tensors.  Raises Refused; ``out`` may have begun then."""
    checkpoint = _open(data)
    tensors = named_tensors(checkpoint.root)
    sizes = {name: check_view(name, tensor) for name, tensor in tensors.items()}
    if sum(sizes.values()) > MAX_GROWTH * len(data) + ALLOWANCE:
        raise Refused(f"its tensors would take {sum(sizes.values())} bytes, far more than the file has: a bomb")
    order = sorted(tensors, key=lambda name: -DTYPE_BITS[tensors[name].dtype])  # wide first, so that all are aligned
    out.write(_header(tensors, sizes, order, facts(checkpoint.root)))
    for piece in _pieces(checkpoint, [tensors[name] for name in order]):
        out.write(piece)


def _open(data: memoryview) -> _Checkpoint:
    if bytes(data[:4]) == b"PK\x03\x04":
        return _open_zip(open_zip(data))
    legacy = read_legacy(data)
    return _Checkpoint(legacy.root, lambda key: data[slice(*legacy.spans[key])])


def _open_zip(archive: ZipFile) -> _Checkpoint:
    if (archive.size("data.pkl") or 0) > MAX_BYTES:
        raise Refused(f"its pickle is longer than {MAX_BYTES} bytes")
    cursor = Cursor(bytes(archive.read("data.pkl")))
    root = Machine(cursor, lambda identity: _storage(identity, archive)).run()
    if cursor.at != len(cursor.data):
        raise Refused(f"{len(cursor.data) - cursor.at} bytes follow the end of its pickle")
    return _Checkpoint(root, lambda key: archive.read(f"data/{key}"))


def _storage(identity: object, archive: ZipFile) -> Storage:
    """("storage", class, key, location, elements)."""
    if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
        raise Refused("its pickle refers to something beside it that is no storage")
    _, kind, key, _, numel = identity
    dtype = storage_dtype(kind)
    if not isinstance(key, str) or type(numel) is not int or not 0 <= numel < 2**60:
        raise Refused("its pickle has a storage of an impossible size")
    size = archive.size(f"data/{key}")
    if size is None:
        raise Refused(f"its storage {key[:40]!r} is not in the file")
    needed = numel * itemsize(dtype)
    if needed != size:
        raise Refused(f"its storage {key[:40]!r} should have {needed} bytes and has {size}")
    return Storage(dtype, key, numel)


def _header(
    tensors: Mapping[str, Tensor], sizes: Mapping[str, int], order: list[str], metadata: Mapping[str, str]
) -> bytes:
    description: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name in order:
        start, end = end, end + sizes[name]
        tensor = tensors[name]
        description[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, end]}
    text = json.dumps(description, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise Refused("the names of its tensors are too long")
    return len(text).to_bytes(8, "little") + text


def _pieces(checkpoint: _Checkpoint, tensors: list[Tensor]) -> Iterator[memoryview]:
    held: tuple[str, memoryview] | None = None  # tensors often share a storage, and a deflated one costs time
    for tensor in tensors:
        if held is None or held[0] != tensor.storage.key:
            held = tensor.storage.key, checkpoint.read(tensor.storage.key)
        yield from gathered(held[1], tensor)
