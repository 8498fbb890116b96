"""The JSON that a safetensors header may be, parsed within bounds of time and memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

MAX_ENTRIES = 50_000  # tensors or metadata strings; a full SDXL file with EMA has about 5,000
MAX_TEXT = 128_000_000  # bytes of memory for names and metadata
MAX_DESCRIPTION = 1024  # bytes of one tensor's dtype, shape and offsets

# Possessive repeats (*+): linear time and constant memory on hostile text.
_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"([^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+)"')
_SPECIAL = re.compile(rb"[\\\x80-\xff]")


class HeaderText:
    """One header's text and how far it has been read.

    ``json.loads`` on the whole would turn 100 MB of hostile brackets into gigabytes of objects; here every value is
    read by itself, within the limits above.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._position = 0
        self._text_bytes = 0

    def parse(self) -> tuple[dict[str, dict[str, object]], dict[str, str]]:
        """(fields of each tensor's description, metadata).  Raises ValueError or RecursionError."""
        if not self._text.startswith(b"{"):  # the format allows no space in front
            raise ValueError("it does not start with {")
        tensors: dict[str, dict[str, object]] = {}
        metadata: dict[str, str] | None = None
        for key in self._keys():
            if key == "__metadata__" and metadata is None:
                metadata = self._metadata()
            elif key == "__metadata__" or key in tensors:
                raise ValueError(f"{shown(key)} is listed twice")
            else:
                tensors[key] = self._fields(key)
        self._skip_space()
        if self._position != len(self._text):
            raise ValueError(f"text follows its end at byte {self._position}")
        return tensors, metadata or {}

    def _keys(self) -> Iterator[str]:
        """The keys of the object that starts here; whoever iterates reads the value after each."""
        self._expect(b"{")
        if self._accept(b"}"):
            return
        for _ in range(MAX_ENTRIES):
            self._skip_space()
            key = self._string()
            self._expect(b":")
            self._skip_space()
            yield key
            if not self._accept(b","):
                self._expect(b"}")
                return
        raise ValueError(f"it lists more than {MAX_ENTRIES} entries")

    def _metadata(self) -> dict[str, str]:
        metadata: dict[str, str] = {}
        if self._accept(b"null"):
            return metadata
        for key in self._keys():
            if key in metadata:
                raise ValueError(f"metadata {shown(key)} is listed twice")
            metadata[key] = self._string()
        return metadata

    def _fields(self, name: str) -> dict[str, object]:
        end = self._text.find(b"}", self._position, self._position + MAX_DESCRIPTION) + 1
        if not end or self._text[self._position] != ord("{"):
            raise ValueError(f"the description of tensor {shown(name)} is not an object of dtype, shape, data_offsets")
        description = self._text[self._position : end].decode()
        self._position = end
        fields: dict[str, object] = _DESCRIPTION.decode(description)
        return fields

    def _string(self) -> str:
        match = _STRING.match(self._text, self._position)
        if match is None:
            raise ValueError(f"a string was expected at byte {self._position}")
        self._position = match.end()
        start, end = match.span(1)
        plain = _SPECIAL.search(self._text, start, end) is None
        # Python may need 4 bytes for every character of a text, twice while it is unescaped.
        self._text_bytes += (end - start) * (1 if plain else 8)
        if self._text_bytes > MAX_TEXT:
            raise ValueError("it has too much text in names and metadata")
        text = str(memoryview(self._text)[start:end], "utf-8")
        return text if plain else _unescaped(text)

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._position)
        self._position = match.end() if match else self._position

    def _accept(self, token: bytes) -> bool:
        self._skip_space()
        found = self._text.startswith(token, self._position)
        self._position += len(token) if found else 0
        return found

    def _expect(self, token: bytes) -> None:
        if not self._accept(token):
            raise ValueError(f"{token.decode()} was expected at byte {self._position}")


def shown(value: object) -> str:
    """A value from a file, fit for a message: one line, at most 80 characters."""
    text = repr(value[:80] if isinstance(value, str | list) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def _unescaped(text: str) -> str:
    unescaped: str = json.loads(f'"{text}"')
    unescaped.encode()  # refuses lone surrogates (\\ud800), which no file or terminal could take
    return unescaped


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a tensor's field is given twice")
    return fields


_DESCRIPTION = json.JSONDecoder(object_pairs_hook=_unique)
