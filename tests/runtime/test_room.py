"""Feature maps are read back as they were written, wherever they are kept, and their place is given back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inkwash.core.errors import OutOfMemory
from inkwash.runtime.room import Doubled, Held, Room, Spilled

CPU = torch.device("cpu")
SIZE = 3 * 7 * 5
"""Values of a map of 3 channels, 7 rows and 5 columns."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("host", "kind"), [(10**6, Held), (0, Spilled)])
def test_rows_come_back(host: int, kind: type, dtype: torch.dtype, tmp_path: Path) -> None:
    whole = torch.randn(1, 3, 7, 5).to(dtype)
    kept = Room(CPU, dtype, host, folder=tmp_path).new(3, 7, 5)
    assert isinstance(kept, kind)
    for first, last in ((4, 7), (0, 4)):
        kept.write(first, whole[:, :, first:last])
    assert torch.equal(kept.read(2, 6), whole[:, :, 2:6])
    assert kept.read(0, 7).is_contiguous(memory_format=torch.channels_last)
    doubled = torch.nn.functional.interpolate(whole, scale_factor=2, mode="nearest")
    assert torch.equal(Doubled(kept).read(3, 8), doubled[:, :, 3:8])
    kept.close()
    assert not list(tmp_path.iterdir())  # a file without a name


def test_a_closed_map_gives_its_place_to_the_next() -> None:
    room = Room(CPU, torch.float32, 4 * SIZE)
    first = room.new(3, 7, 5)
    assert isinstance(first, Held)
    first.close()
    first.close()  # once is once
    assert isinstance(room.new(3, 7, 5), Held)
    assert room.spilled == 0


def test_the_disk_comes_last_and_is_told_of(tmp_path: Path) -> None:
    room = Room(CPU, torch.float32, 4 * SIZE, folder=tmp_path)
    assert [type(room.new(3, 7, 5)) for _ in range(2)] == [Held, Spilled]
    assert room.spilled == 4 * SIZE


def test_a_full_disk_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory, match="GB more than memory has"):
        Room(CPU, torch.float32, 0, folder=tmp_path).new(1000, 10**6, 10**6)
