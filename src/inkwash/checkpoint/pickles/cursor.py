"""Reading a pickle's bytes from front to back, never beyond its end."""

from __future__ import annotations

import struct

from inkwash.checkpoint.pickles.values import Refused


class Cursor:
    """A position in ``data``."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise cut_short()
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def unsigned(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def signed(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little", signed=True)

    def double(self) -> float:
        value: float = struct.unpack(">d", self.take(8))[0]
        return value

    def line(self) -> bytes:
        """The bytes up to the next newline, without it."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise cut_short()
        taken = self.data[self.at : end]
        self.at = end + 1
        return taken


def cut_short() -> Refused:
    return Refused("its pickle ends in the middle: it was cut short or altered")
