"""The opcodes of a pickle that stand for one plain value: numbers, texts, bytes, empty containers.

Names and arguments as in ``pickletools``, protocols 0 to 5.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable

from inkwash.checkpoint.pickles.cursor import Cursor
from inkwash.checkpoint.pickles.values import Refused

MAX_INTEGER = 256  # bytes; PyTorch's own magic number has 10


def _integer(cursor: Cursor, width: int) -> int:
    """LONG1 and LONG4: a count of ``width`` bytes, then the number."""
    count = cursor.unsigned(width)
    if count > MAX_INTEGER:
        raise Refused(f"its pickle holds a whole number of {count} bytes")
    return cursor.signed(count)


def _decimal(cursor: Cursor) -> int | bool:
    """INT and LONG: a decimal line; 00 and 01 are false and true."""
    line = cursor.line()
    if line in (b"00", b"01"):
        return line == b"01"
    if len(line) > 2 * MAX_INTEGER:
        raise Refused(f"its pickle holds a whole number of {len(line)} digits")
    return int(line.removesuffix(b"L"))


def _text(data: bytes) -> str:
    return str(data, "utf-8")


def _quoted(cursor: Cursor) -> str:
    """STRING: a Python literal between quotes."""
    line = cursor.line().strip()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
        raise Refused("its pickle holds a text without quotes")
    return _text(codecs.escape_decode(line[1:-1])[0])


LITERALS: dict[int, Callable[[Cursor], object]] = {
    ord("N"): lambda cursor: None,
    0x88: lambda cursor: True,
    0x89: lambda cursor: False,
    ord("I"): _decimal,
    ord("L"): _decimal,
    ord("J"): lambda cursor: cursor.signed(4),
    ord("K"): lambda cursor: cursor.unsigned(1),
    ord("M"): lambda cursor: cursor.unsigned(2),
    0x8A: lambda cursor: _integer(cursor, 1),
    0x8B: lambda cursor: _integer(cursor, 4),
    ord("F"): lambda cursor: float(cursor.line()),
    ord("G"): Cursor.double,
    ord("S"): _quoted,
    ord("T"): lambda cursor: _text(cursor.take(cursor.unsigned(4))),
    ord("U"): lambda cursor: _text(cursor.take(cursor.unsigned(1))),
    ord("V"): lambda cursor: cursor.line().decode("raw-unicode-escape"),
    ord("X"): lambda cursor: _text(cursor.take(cursor.unsigned(4))),
    0x8C: lambda cursor: _text(cursor.take(cursor.unsigned(1))),
    0x8D: lambda cursor: _text(cursor.take(cursor.unsigned(8))),
    ord("B"): lambda cursor: cursor.take(cursor.unsigned(4)),
    ord("C"): lambda cursor: cursor.take(cursor.unsigned(1)),
    0x8E: lambda cursor: cursor.take(cursor.unsigned(8)),
    0x96: lambda cursor: cursor.take(cursor.unsigned(8)),
    ord("]"): lambda cursor: [],
    ord("}"): lambda cursor: {},
    ord(")"): lambda cursor: (),
    0x8F: lambda cursor: set(),
}
