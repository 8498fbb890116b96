"""A tiny ONNX model, written byte by byte, so that no library is needed to make it: the mean over channels."""

from __future__ import annotations

from pathlib import Path

FLOAT, INTS = 1, 7


def mean_model(path: Path, side: int | None, channels: int = 3, op: str = "ReduceMean") -> Path:
    """(1, channels, side, side) -> (1, 1, side, side).  side None: left open."""
    axes = _text(1, "axes") + _number(8, 1) + _number(20, INTS)  # the second axis
    keep = _text(1, "keepdims") + _number(3, 1) + _number(20, 2)
    node = _text(1, "x") + _text(2, "y") + _text(4, op) + _bytes(5, axes) + _bytes(5, keep)
    graph = _bytes(1, node) + _text(2, "mean")
    graph += _bytes(11, _value("x", (1, channels, side, side))) + _bytes(12, _value("y", (1, 1, side, side)))
    opset = _text(1, "") + _number(2, 13)
    path.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, opset))
    return path


def _value(name: str, shape: tuple[int | None, ...]) -> bytes:
    sizes = [_text(2, "side") if size is None else _number(1, size) for size in shape]
    tensor = _number(1, FLOAT) + _bytes(2, b"".join(_bytes(1, size) for size in sizes))
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
