"""Photoshop files, read back by Pillow, which has a reader of its own, and by the library that wrote them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PsdImagePlugin
from psd_tools import PSDImage

from inkwash.core.errors import InvalidRequest
from inkwash.core.layers import Layer, Layers
from inkwash.core.psd import save_psd

RANDOM = np.random.default_rng(2)
PHOTO = Image.fromarray(RANDOM.integers(0, 256, (24, 32, 3), dtype=np.uint8))
CUT = Image.fromarray(RANDOM.integers(0, 256, (10, 12, 4), dtype=np.uint8))
NAMES = "picture", "红色的船，夕阳", "hidden"
LAYERS = Layers.of(PHOTO, "a harbour\nSteps: 4").over(Layer(NAMES[1], CUT, x=5, y=-3, opacity=0.5)).over(
    Layer(NAMES[2], CUT, x=25, y=20, visible=False)
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_psd(LAYERS, tmp_path / "boat.psd")
    return tmp_path / "boat.psd"


def test_layers_come_back_with_all_they_have(path: Path) -> None:
    found = list(PSDImage.open(path))
    assert [layer.name for layer in found] == list(NAMES)
    assert [layer.visible for layer in found] == [True, True, False]
    assert [(layer.left, layer.top) for layer in found] == [(0, 0), (5, -3), (25, 20)]
    assert [layer.opacity for layer in found] == [255, 128, 255]
    for layer, ours in zip(found, LAYERS.layers, strict=True):
        pixels = layer.topil()
        assert pixels is not None
        assert pixels.convert("RGBA").tobytes() == ours.image.tobytes()


def test_pillow_reads_where_layers_are_and_what_is_seen(path: Path) -> None:
    with Image.open(path) as whole:
        assert isinstance(whole, PsdImagePlugin.PsdImageFile)
        assert whole.size == PHOTO.size
        assert [box for _, _, box, _ in whole.layers] == [(0, 0, 32, 24), (5, -3, 17, 7), (25, 20, 37, 30)]
        seen, expected = (np.asarray(one.convert("RGB"), int) for one in (whole, LAYERS.flattened()))
        assert np.abs(seen - expected).max() <= 1  # half opaque is 128 of 255 there


def test_names_of_any_length_are_written(tmp_path: Path) -> None:
    save_psd(Layers((4, 4), (Layer("船" * 300, CUT),)), tmp_path / "long.psd")
    assert [layer.name for layer in PSDImage.open(tmp_path / "long.psd")] == ["船" * 255]


def test_what_psd_cannot_hold_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="at most 30000 a side"):
        save_psd(Layers((30_001, 1), (Layer("wide", CUT),)), tmp_path / "wide.psd")
    assert list(tmp_path.iterdir()) == []
