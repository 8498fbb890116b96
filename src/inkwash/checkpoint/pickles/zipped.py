"""The zip file that PyTorch 1.6 and later write, with every ambiguity refused.

Layout, all under one folder: ``data.pkl``, ``data/KEY`` for each storage, ``byteorder``, ``version``, names that begin
with a dot.  Zip tells everything twice, at each entry and in the directory at the end; programs that believe different
ones see different files, so here both must agree.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from inkwash.checkpoint.pickles.directory import Entry, read_directory
from inkwash.checkpoint.pickles.values import Refused

MAX_RATIO = 100  # of a deflated entry; PyTorch itself never deflates
MAX_GROWTH = 64_000_000  # bytes an entry may unpack to beyond the file's own size

_LOCAL = struct.Struct("<4s5HLLLHH")
_DESCRIPTOR_FLAG = 0x8
_FULL32 = 2**32 - 1  # stands for "see the zip64 field"
_KNOWN = ("data.pkl", "byteorder", "version")


@dataclass(frozen=True)
class ZipFile:
    """A checked archive over the whole file's bytes."""

    data: memoryview
    entries: Mapping[str, tuple[Entry, int]]  # name without the common folder -> entry, start of its bytes

    def size(self, name: str) -> int | None:
        """Bytes of an entry; None if there is none."""
        return self.entries[name][0].size if name in self.entries else None

    def read(self, name: str) -> memoryview:
        """The entry's bytes, unpacked."""
        entry, start = self.entries[name]
        packed = self.data[start : start + entry.packed]
        return memoryview(_inflated(entry, packed)) if entry.method else packed


def open_zip(data: memoryview) -> ZipFile:
    """Checks a PyTorch zip file as a whole, all checksums included.  Raises Refused."""
    entries, directory = read_directory(data)
    starts = [_data_start(data, entry) for entry in entries]
    _refuse_overlap(data, entries, starts, directory)
    names = _inner_names(entries)
    archive = ZipFile(data, dict(zip(names, zip(entries, starts, strict=True), strict=True)))
    for name, (entry, _) in archive.entries.items():
        if entry.size > MAX_RATIO * max(entry.packed, 1) or entry.size > len(data) + MAX_GROWTH:
            raise Refused(f"its entry {name[:80]!r} unpacks to {entry.size} bytes from {entry.packed}: a bomb")
    for name, (entry, _) in archive.entries.items():
        if zlib.crc32(archive.read(name)) != entry.crc:
            raise Refused(f"its entry {name[:80]!r} does not match its checksum: it was altered or damaged")
    _refuse_foreign(archive)
    return archive


def _data_start(data: memoryview, entry: Entry) -> int:
    """Where the entry's bytes begin.  Raises Refused unless its local header says what the directory says."""
    header = data[entry.header : entry.header + _LOCAL.size]
    if len(header) < _LOCAL.size or bytes(header[:4]) != b"PK\x03\x04":
        raise Refused(f"its entry {entry.shown} is not where its directory says")
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(header)
    name_start = entry.header + _LOCAL.size
    start: int = name_start + name_length + extra_length
    if data[name_start : name_start + name_length] != entry.raw_name or (flags, method) != (entry.flags, entry.method):
        raise Refused(f"its entry {entry.shown} and its directory contradict each other")
    if flags & _DESCRIPTOR_FLAG and (crc, packed, size) == (0, 0, 0):
        _check_descriptor(data, entry, start + entry.packed)
    elif crc != entry.crc or packed not in (entry.packed, _FULL32) or size not in (entry.size, _FULL32):
        raise Refused(f"its entry {entry.shown} and its directory contradict each other")
    return start


def _check_descriptor(data: memoryview, entry: Entry, at: int) -> None:
    """Sizes and checksum behind the bytes, in 4 or 8 bytes each."""
    expected = (entry.crc, entry.packed, entry.size)
    forms = [b"PK\x07\x08" + struct.pack(form, *expected) for form in ("<LLL", "<LQQ") if _fits(form, entry)]
    if not any(data[at : at + len(form)] == form for form in forms):
        raise Refused(f"its entry {entry.shown} and its directory contradict each other")


def _fits(form: str, entry: Entry) -> bool:
    return "Q" in form or max(entry.packed, entry.size) < 2**32


def _refuse_overlap(data: memoryview, entries: list[Entry], starts: list[int], directory: int) -> None:
    spans = sorted((entry.header, start + entry.packed) for entry, start in zip(entries, starts, strict=True))
    if any(end > following for (_, end), (following, _) in pairwise([*spans, (directory, directory)])):
        raise Refused("entries of its zip file overlap: a bomb, or damaged")


def _inner_names(entries: list[Entry]) -> list[str]:
    """Names without their common folder, no two alike."""
    names = [entry.name for entry in entries]
    folders = {name.partition("/")[0] for name in names}
    for name in names:
        if name.startswith("/") or "\\" in name or "\0" in name or {"", ".", ".."} & set(name.split("/")):
            raise Refused(f"its zip file has an entry {name[:80]!r}, which leads elsewhere")
    if len(folders) != 1 or any("/" not in name for name in names):
        raise Refused("its zip file is no single folder, as PyTorch writes it")
    inner = [name.partition("/")[2] for name in names]
    [(name, count)] = Counter(inner).most_common(1)
    if count > 1:
        raise Refused(f"its zip file has {count} entries {name[:80]!r}")
    return inner


def _refuse_foreign(archive: ZipFile) -> None:
    if "data.pkl" not in archive.entries:
        raise Refused("it is a zip file, but not one that PyTorch wrote: it has no data.pkl")
    if "constants.pkl" in archive.entries:
        raise Refused(
            "it is a TorchScript program, not a file of weights", "Get the .safetensors version of the model."
        )
    for name in archive.entries:
        if name not in _KNOWN and not name.startswith(("data/", ".")):
            raise Refused(f"its zip file has an entry {name[:80]!r}, which PyTorch does not write")
    if archive.size("byteorder") is not None and bytes(archive.read("byteorder")) != b"little":
        raise Refused("its numbers are not little-endian", "Get the .safetensors version of the model.")


def _inflated(entry: Entry, packed: memoryview) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        unpacked = inflater.decompress(packed, entry.size + 1)
    except zlib.error as error:
        raise Refused(f"its entry {entry.shown} cannot be unpacked: {error}") from None
    if len(unpacked) != entry.size or not inflater.eof or inflater.unused_data:
        raise Refused(f"its entry {entry.shown} does not unpack to {entry.size} bytes")
    return unpacked
