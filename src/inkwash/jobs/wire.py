"""Messages between the owner of the jobs and a worker: JSON with bytes behind it, over any two byte streams.

A message: two big-endian 32-bit lengths, then that much JSON (an object) and that much of anything.  The worker calls
(``{"call": name, "id": n, ...}``, answered by ``{"answer": n, ...}``) and tells (``{"tell": name, ...}``, unanswered);
the owner orders (``{"order": name, ...}``).  The end of a stream means that the other side is gone.
"""

from __future__ import annotations

import contextlib
import json
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from inkwash.core.errors import InkwashError

LENGTHS = struct.Struct(">II")
MOST_JSON, MOST_BODY = 2**26, 2**30
"""Bytes of a message that are still read; more is a broken stream."""


class Gone(InkwashError):
    """The other side closed the connection, or it broke."""


@dataclass(frozen=True)
class Message:
    head: Mapping[str, Any]
    body: bytes = b""


class Connection:
    """Sends from any thread; receives in one."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer
        self._lock = threading.Lock()

    def send(self, head: Mapping[str, Any], body: bytes = b"") -> None:
        """Raises Gone."""
        text = json.dumps(head).encode()
        with self._lock:
            try:
                self._writer.write(LENGTHS.pack(len(text), len(body)) + text + body)
                self._writer.flush()
            except (OSError, ValueError) as error:  # ValueError: closed here
                raise Gone(f"The connection ended: {error}.") from error

    def receive(self) -> Message | None:
        """The next message; None when there will be no more.  Waits."""
        lengths = self._read(LENGTHS.size)
        if lengths is None:
            return None
        text_length, body_length = LENGTHS.unpack(lengths)
        if text_length > MOST_JSON or body_length > MOST_BODY:
            return None
        text, body = self._read(text_length), self._read(body_length)
        if text is None or body is None:
            return None
        head = json.loads(text)
        return Message(head, body) if isinstance(head, dict) else None

    def close(self) -> None:
        """Close what is written to, which the other side sees as the end."""
        with self._lock, contextlib.suppress(OSError):
            self._writer.close()

    def _read(self, length: int) -> bytes | None:
        """Exactly so many bytes; None at the end."""
        try:
            data = self._reader.read(length)
        except (OSError, ValueError):
            return None
        return data if len(data) == length else None
