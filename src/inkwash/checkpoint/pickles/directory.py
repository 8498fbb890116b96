"""The directory at the end of a zip file (APPNOTE.TXT of PKWARE), with zip64 for large files."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from inkwash.checkpoint.pickles.values import Refused

MAX_ENTRIES = 60_000  # a storage each; a full training checkpoint of SDXL has about 10,000
FLAGS = 0x0808 | 0x0006  # sizes behind the bytes, UTF-8 names, how hard the deflater tried; no other is taken
METHODS = (0, 8)  # stored, deflated

_END = struct.Struct("<4s4HLLH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQHHLLQQQQ")
_ENTRY = struct.Struct("<4s6HLLL5HLL")
_FULL16, _FULL32 = 2**16 - 1, 2**32 - 1  # stand for "see the zip64 field"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive as the directory tells it."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int  # bytes in the file
    size: int  # bytes unpacked
    header: int  # where its local header begins

    @property
    def shown(self) -> str:
        return repr(self.name[:80])


@dataclass(frozen=True, slots=True)
class _Place:
    count: int
    size: int
    start: int


def read_directory(data: memoryview) -> tuple[list[Entry], int]:
    """(entries, where the directory begins).  Raises Refused."""
    place = _find(data)
    if place.count > MAX_ENTRIES:
        raise Refused(f"its zip file has {place.count} entries; more than {MAX_ENTRIES} are not accepted")
    directory = data[place.start : place.start + place.size]
    entries, at = [], 0
    for _ in range(place.count):
        entry, at = _entry(directory, at)
        entries.append(entry)
    if at != place.size or not entries:
        raise Refused("the directory of its zip file has another length than it says")
    return entries, place.start


def _find(data: memoryview) -> _Place:
    """Where the directory lies.  It must end exactly where the records that point to it begin."""
    tail = bytes(data[-_END.size - _FULL16 :])
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) - found < _END.size:
        raise Refused("its zip file has no end: it was cut short")
    end = len(data) - len(tail) + found
    _, disk, first_disk, here, count, size, start, comment = _END.unpack_from(data, end)
    if (disk, first_disk) != (0, 0) or here != count or end + _END.size + comment != len(data):
        raise Refused("the end of its zip file is not valid")
    place = _Place(count, size, start)
    if bytes(data[max(0, end - _LOCATOR.size) : end][:4]) == b"PK\x06\x07":
        place, end = _find64(data, end - _LOCATOR.size, place)
    if place.start + place.size != end:
        raise Refused("the directory of its zip file is not where its end says")
    return place


def _find64(data: memoryview, locator: int, short: _Place) -> tuple[_Place, int]:
    """The same from the zip64 records, which must agree with the short ones where these are not full."""
    _, _, end, disks = _LOCATOR.unpack_from(data, locator)
    if end + _END64.size != locator or disks != 1:
        raise Refused("the zip64 end of its zip file is not where it should be")
    magic, length, _, _, disk, first_disk, here, count, size, start = _END64.unpack_from(data, end)
    place = _Place(count, size, start)
    agree = all(
        stated in (true, full)
        for stated, true, full in (
            (short.count, count, _FULL16),
            (short.size, size, _FULL32),
            (short.start, start, _FULL32),
        )
    )
    if magic != b"PK\x06\x06" or length != _END64.size - 12 or disk or first_disk or here != count or not agree:
        raise Refused("the two ends of its zip file contradict each other")
    return place, end


def _entry(directory: memoryview, at: int) -> tuple[Entry, int]:
    if len(directory) < at + _ENTRY.size or bytes(directory[at : at + 4]) != b"PK\x01\x02":
        raise Refused("the directory of its zip file is damaged")
    (_, _, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length, disk, _, _, header) = (
        _ENTRY.unpack_from(directory, at)
    )
    at += _ENTRY.size
    raw_name = bytes(directory[at : at + name_length])
    extra = bytes(directory[at + name_length : at + name_length + extra_length])
    size, packed, header = _wide(extra, size, packed, header)
    try:
        entry = Entry(raw_name.decode(), raw_name, flags, method, crc, packed, size, header)
    except UnicodeDecodeError:
        raise Refused("its zip file has an entry whose name is not UTF-8") from None
    if flags & ~FLAGS or method not in METHODS or disk:
        raise Refused(f"its entry {entry.shown} is encrypted, patched or packed in a way PyTorch does not use")
    if method == 0 and packed != size:
        raise Refused(f"its entry {entry.shown} has two sizes")
    return entry, at + name_length + extra_length + comment_length


def _wide(extra: bytes, *numbers: int) -> list[int]:
    """``numbers`` with those that are full replaced, in order, by the 8-byte ones of the zip64 field."""
    field = _zip64_field(extra)
    wide = iter([int.from_bytes(field[at : at + 8], "little") for at in range(0, len(field) - 7, 8)])
    return [next(wide, number) if number == _FULL32 else number for number in numbers]


def _zip64_field(extra: bytes) -> bytes:
    at, found = 0, b""
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1 and found:
            raise Refused("an entry of its zip file has two zip64 fields")
        if kind == 1:
            found = extra[at + 4 : at + 4 + length]
        at += 4 + length
    return found
