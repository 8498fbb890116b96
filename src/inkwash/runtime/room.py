"""Feature maps too large for memory: each is kept in the nearest place with room, and read and written by rows."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import IO, Protocol

import torch
from torch import Tensor

from inkwash.core import settings
from inkwash.core.errors import OutOfMemory

DISK_SPARE = 2**30
"""Bytes of a disk that are left to others."""


class FeatureMap(Protocol):
    """What a network makes of one picture, (channels, height, width).  Rows are (1, channels, rows, width)."""

    channels: int
    height: int
    width: int

    def read(self, first: int, last: int) -> Tensor:
        """Rows first..last-1, channels_last, where they are computed with; perhaps a view, so not to be written to."""

    def write(self, first: int, rows: Tensor) -> None: ...

    def close(self) -> None:
        """Give the place back; nothing is read afterwards."""


class Held:
    """A map in memory: (height, width, channels), on the device or beside it.  bytes: what closing gives back."""

    def __init__(self, values: Tensor, device: torch.device, room: Room | None = None) -> None:
        self.height, self.width, self.channels = values.shape
        self.nbytes = values.nbytes
        self._values: Tensor | None = values
        self._device = device
        self._room = room

    @classmethod
    def of(cls, x: Tensor) -> Held:
        """x: (1, C, H, W), used as it is."""
        return cls(x[0].permute(1, 2, 0), x.device)

    def read(self, first: int, last: int) -> Tensor:
        assert self._values is not None, "read after close"
        return self._values[first:last].to(self._device)[None].permute(0, 3, 1, 2)

    def write(self, first: int, rows: Tensor) -> None:
        assert self._values is not None, "written after close"
        self._values[first : first + rows.shape[2]] = rows[0].permute(1, 2, 0)

    def close(self) -> None:
        if self._values is not None and self._room is not None:
            self._room.take_back(self._values.device, self.nbytes)
        self._values = None


class Spilled:
    """A map in a file that has no name and goes with the process."""

    def __init__(
        self, size: tuple[int, int, int], dtype: torch.dtype, device: torch.device, file: IO[bytes]
    ) -> None:  # fmt: skip
        self.height, self.width, self.channels = size
        self._row = self.width * self.channels * dtype.itemsize
        self._dtype = dtype
        self._device = device
        self._file = file

    def read(self, first: int, last: int) -> Tensor:
        rows = torch.empty(last - first, self.width, self.channels, dtype=self._dtype)
        self._file.seek(first * self._row)
        self._file.readinto(_bytes(rows))  # type: ignore[attr-defined]
        return rows.to(self._device)[None].permute(0, 3, 1, 2)

    def write(self, first: int, rows: Tensor) -> None:
        flat = rows[0].permute(1, 2, 0).to("cpu", self._dtype).contiguous()
        self._file.seek(first * self._row)
        self._file.write(_bytes(flat))

    def close(self) -> None:
        self._file.close()


class Doubled:
    """A map seen at twice its size, every pixel repeated."""

    def __init__(self, inner: FeatureMap) -> None:
        self.inner = inner
        self.channels, self.height, self.width = inner.channels, 2 * inner.height, 2 * inner.width

    def read(self, first: int, last: int) -> Tensor:
        start = first // 2
        rows = self.inner.read(start, -(-last // 2))
        doubled = torch.nn.functional.interpolate(rows, scale_factor=2, mode="nearest")
        return doubled[:, :, first - 2 * start : last - 2 * start]

    def write(self, first: int, rows: Tensor) -> None:
        raise TypeError("a doubled map is for reading")

    def close(self) -> None:
        self.inner.close()


class Room:
    """Places for feature maps: the device, then the machine's memory, then the disk, each while it has room.

    near, host: bytes of the device and of the machine that maps may take; on a CPU they are one, ``host``.
    folder: where files go; None: the cache folder.
    """

    def __init__(
        self, device: torch.device, dtype: torch.dtype, host: int, near: int = 0, folder: Path | None = None
    ) -> None:
        self.device = device
        self.dtype = dtype
        self.spilled = 0
        self._folder = folder
        self._left = {torch.device("cpu"): host}
        if device.type != "cpu":
            self._left = {device: near, **self._left}

    def new(self, channels: int, height: int, width: int) -> FeatureMap:
        """A map whose contents are undefined.  Raises OutOfMemory when not even the disk has room."""
        size = channels * height * width * self.dtype.itemsize
        for place, left in self._left.items():
            if size <= left:
                self._left[place] -= size
                values = torch.empty(height, width, channels, dtype=self.dtype, device=place)
                return Held(values, self.device, self)
        self.spilled += size
        return Spilled((height, width, channels), self.dtype, self.device, self._file(size))

    def take_back(self, place: torch.device, size: int) -> None:
        """A map of that size was closed."""
        for known in self._left:
            if known.type == place.type:
                self._left[known] += size

    def _file(self, size: int) -> IO[bytes]:
        folder = self._folder or settings.cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if size + DISK_SPARE > free:
            raise OutOfMemory(
                f"The autoencoder needs {size / 1e9:.1f} GB more than memory has, {folder} has {free / 1e9:.1f} GB.",
                "Use fast VAE tiles (--vae-fast), a smaller picture, or set INKWASH_CACHE_DIR to a larger disk.",
            )
        return tempfile.TemporaryFile(dir=folder, prefix="map-")


def _bytes(values: Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    return memoryview(values.view(torch.uint8).reshape(-1).numpy().data)
