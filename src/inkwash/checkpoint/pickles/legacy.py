"""The file that PyTorch wrote before 1.6: five pickles one after another, then the storages' numbers.

The pickles: a magic number, a version, facts of the machine, the object, the keys of the storages in order.  Each
storage is its count of elements in 8 bytes, then the elements.  There are no checksums, and nothing may follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from inkwash.checkpoint.pickles.cursor import Cursor
from inkwash.checkpoint.pickles.kinds import itemsize, storage_dtype
from inkwash.checkpoint.pickles.machine import MAX_BYTES, Machine
from inkwash.checkpoint.pickles.values import Refused, Storage

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


@dataclass
class Legacy:
    """What the pickles said: the object, and where each storage's bytes lie."""

    root: object = None
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)


def read_legacy(data: memoryview) -> Legacy:
    """Raises Refused."""
    sizes: dict[str, tuple[str | None, int]] = {}  # key -> dtype and elements of the whole storage
    cursor = Cursor(bytes(data[:MAX_BYTES]))
    machine = Machine(cursor, lambda identity: _storage(identity, sizes))
    _check_start(machine)
    legacy = Legacy(machine.run())
    keys = machine.run()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(sizes):
        raise Refused("its list of storages does not match the tensors")
    at = cursor.at
    for key, (start, end) in _spans(data, at, [str(key) for key in keys], sizes):
        legacy.spans[key] = (start, end)
        at = end
    if at != len(data):
        raise Refused(f"{len(data) - at} bytes at its end belong to no tensor")
    return legacy


def _check_start(machine: Machine) -> None:
    if machine.run() != MAGIC:
        raise Refused("it is a pickle, but not one that PyTorch wrote", "Choose a checkpoint.")
    if machine.run() != VERSION:
        raise Refused("it was written by an unknown version of PyTorch")
    facts = machine.run()
    if not isinstance(facts, dict) or facts.get("little_endian") is not True:
        raise Refused("its numbers are not little-endian", "Get the .safetensors version of the model.")


def _spans(
    data: memoryview, at: int, keys: list[str], sizes: dict[str, tuple[str | None, int]]
) -> Iterator[tuple[str, tuple[int, int]]]:
    if len(set(keys)) != len(keys):
        raise Refused("its list of storages names one twice")
    for key in keys:
        dtype, numel = sizes[key]
        end = at + 8 + numel * itemsize(dtype)
        if int.from_bytes(data[at : at + 8], "little") != numel or end > len(data):
            raise Refused("a storage has another size than its tensors say: it was cut short or altered")
        yield key, (at + 8, end)
        at = end


def _storage(identity: object, sizes: dict[str, tuple[str | None, int]]) -> Storage:
    """("storage", class, key, location, elements, view); view: None, or (its key, first element, elements)."""
    if not isinstance(identity, tuple) or len(identity) != 6 or identity[0] != "storage":
        raise Refused("its pickle refers to something beside it that is no storage")
    _, kind, key, _, numel, view = identity
    dtype = storage_dtype(kind)
    if not isinstance(key, str) or type(numel) is not int or not 0 <= numel < 2**60:
        raise Refused("its pickle has a storage of an impossible size")
    if sizes.setdefault(key, (dtype, numel)) != (dtype, numel):
        raise Refused("its pickle gives one storage two sizes")
    if view is None:
        return Storage(dtype, key, numel)
    if not isinstance(view, tuple) or len(view) != 3:
        raise Refused("its pickle has a view that is none")
    _, start, count = view
    if type(start) is not int or type(count) is not int or not 0 <= start <= start + count <= numel:
        raise Refused("its pickle has a view beyond its storage")
    return Storage(dtype, key, count, start)
