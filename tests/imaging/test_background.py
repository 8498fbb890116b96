"""Backgrounds removed, with a model whose answer is known: the mean over the channels of what it is shown."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.onnx import mean_model

from inkwash.core.errors import MissingLibrary, ModelNotFound, UnsupportedModel
from inkwash.imaging.background import HALF, as_mask, cutters, find_cutter, kind_of, load_cutter, shown

RANDOM = np.random.default_rng(4)
PHOTO = Image.fromarray(RANDOM.integers(0, 200, (6, 8, 3), dtype=np.uint8)).resize((64, 48))


@pytest.mark.parametrize(("name", "side"), [("u2net.onnx", 64), ("isnet-general-use.onnx", None)])
def test_the_mask_is_what_the_model_sees(name: str, side: int | None, tmp_path: Path) -> None:
    """The mean of (pixels / brightest - mean) / deviation, stretched to 0..255, to a level of rounding."""
    found = load_cutter(mean_model(tmp_path / name, side)).mask(PHOTO)
    assert (found.mode, found.size) == ("L", PHOTO.size)
    mean, deviation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if side else ((0.5,) * 3, (1.0,) * 3)
    pixels = np.asarray(PHOTO.resize((side or 1024,) * 2, Image.Resampling.LANCZOS), np.float64)
    values = ((pixels / pixels.max() - mean) / deviation).mean(axis=2)
    values = (values - values.min()) / (values.max() - values.min())
    expected = Image.fromarray((values * 255).round().astype(np.uint8)).resize(PHOTO.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(found, int) - np.asarray(expected, int)).max() <= 1
    assert found.getextrema()[1] > 200


def test_the_background_becomes_transparent_and_holes_stay(tmp_path: Path) -> None:
    cutter, holed = load_cutter(mean_model(tmp_path / "u2net.onnx", 32)), PHOTO.convert("RGBA")
    holed.paste((0, 0, 0, 0), (0, 0, 10, 10))
    cut = cutter(holed)
    assert cut.mode == "RGBA"
    assert cut.crop((0, 0, 10, 10)).getchannel("A").getextrema() == (0, 0)
    assert cut.getchannel("A").crop((10, 10, 64, 48)).tobytes() == cutter.mask(holed).crop((10, 10, 64, 48)).tobytes()
    assert cut.convert("RGB").crop((10, 10, 64, 48)).tobytes() == PHOTO.crop((10, 10, 64, 48)).tobytes()


def test_kinds_are_known_by_their_names() -> None:
    assert kind_of(Path("isnet-anime.onnx")) == HALF
    assert kind_of(Path("BiRefNet-general.onnx")).logits
    assert kind_of(Path("silueta.onnx")).side == 320
    values = np.array([[-5.0, 1.0, 5.0]])
    assert np.asarray(as_mask(values, (3, 1), logits=False)).tolist() == [[0, 153, 255]]
    assert np.asarray(as_mask(values, (3, 1), logits=True)).tolist() == [[0, 187, 255]]  # 1 / (1 + e^-1) = 0.73
    assert as_mask(np.ones((2, 2)), (4, 4), logits=False).getextrema() == (0, 0)
    black = shown(Image.new("RGB", (4, 4)), 2, HALF)
    assert black.shape == (1, 3, 2, 2)
    assert (black == -0.5).all()


def test_models_are_found_where_rembg_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "home"))
    with pytest.raises(ModelNotFound, match="Put one of rembg's there"):
        find_cutter(tmp_path)
    for folder, name in (("home", "silueta"), ("models/rembg", "u2net")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"{name}.onnx").touch()
    assert [path.name for path in cutters(tmp_path)] == ["u2net.onnx", "silueta.onnx"]
    assert find_cutter(tmp_path).name == "u2net.onnx"
    assert find_cutter(tmp_path, "silueta") == tmp_path / "home" / "silueta.onnx"
    with pytest.raises(ModelNotFound, match="There is u2net"):
        find_cutter(tmp_path, "u2")


def test_what_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cut.onnx").write_bytes(mean_model(tmp_path / "u2net.onnx", 32).read_bytes()[:-30])
    (tmp_path / "empty.onnx").touch()
    for path in (tmp_path / "cut.onnx", tmp_path / "empty.onnx", mean_model(tmp_path / "odd.onnx", 8, op="Nonsense")):
        with pytest.raises(UnsupportedModel, match="not a sound ONNX model"):
            load_cutter(path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingLibrary, match=r"inkwash\[background\]"):
        load_cutter(tmp_path / "u2net.onnx")
