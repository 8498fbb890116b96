import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inkwash.core import layers
from inkwash.core.errors import DamagedFile, InkwashError, InvalidRequest
from inkwash.core.layers import Layer, Layers

RANDOM = np.random.default_rng(3)
PHOTO = Image.fromarray(RANDOM.integers(0, 256, (24, 32, 3), dtype=np.uint8))
RESULT = Image.fromarray(RANDOM.integers(0, 256, (24, 32, 3), dtype=np.uint8))
MASK = Image.new("L", PHOTO.size)
MASK.paste(90, (4, 5, 20, 17))
RED = Layer("red", Image.new("RGBA", (10, 10), (255, 0, 0, 255)), x=-4, y=20, opacity=0.5)


@pytest.fixture
def drawing() -> Layers:
    return Layers.of(PHOTO).over(layers.redrawn("a boat", RESULT, MASK, "a boat\nSteps: 4, Sampler: Euler")).over(RED)


def test_a_redraw_looks_like_its_result_and_hidden_like_nothing(drawing: Layers) -> None:
    seen = np.asarray(drawing.without(2).flattened().convert("RGB"))
    inside = np.asarray(MASK) > 0
    assert (seen[inside] == np.asarray(RESULT)[inside]).all()
    assert (seen[~inside] == np.asarray(PHOTO)[~inside]).all()
    hidden = drawing.shown(1, False).shown(2, False)
    assert hidden.flattened().convert("RGB").tobytes() == PHOTO.tobytes()
    assert hidden.shown(1, True).shown(2, True).flattened().tobytes() == drawing.flattened().tobytes()


def test_layers_are_reordered_and_taken_back(drawing: Layers) -> None:
    assert [layer.name for layer in drawing.moved(2, 0).layers] == ["red", "picture", "a boat"]
    assert [layer.name for layer in drawing.moved(0, 2).layers] == ["a boat", "red", "picture"]
    assert [layer.name for layer in drawing.without(1).layers] == ["picture", "red"]
    with pytest.raises(InvalidRequest, match="0 to 2"):
        drawing.without(3)
    with pytest.raises(InvalidRequest, match="only layer"):
        Layers.of(PHOTO).without(0)


def test_everything_comes_back_from_the_file(drawing: Layers, tmp_path: Path) -> None:
    layers.save(drawing.shown(2, False), tmp_path / "boat.ora")
    again = layers.load(tmp_path / "boat.ora")
    assert again.size == PHOTO.size
    for before, after in zip(drawing.shown(2, False).layers, again.layers, strict=True):
        assert after.image.tobytes() == before.image.tobytes()
        assert (after.name, after.x, after.y, after.visible, after.opacity, after.recipe) == (
            before.name, before.x, before.y, before.visible, before.opacity, before.recipe,
        )  # fmt: skip


def test_the_file_is_what_openraster_asks_for(drawing: Layers, tmp_path: Path) -> None:
    layers.save(drawing, tmp_path / "boat.ora")
    data = (tmp_path / "boat.ora").read_bytes()
    assert data[30:54] == b"mimetypeimage/openraster"  # first and unpacked, so that magic numbers find it
    with zipfile.ZipFile(tmp_path / "boat.ora") as archive:
        stack = archive.read("stack.xml").decode()
        assert stack.index('name="red"') < stack.index('name="a boat"') < stack.index('name="picture"')
        with Image.open(io.BytesIO(archive.read("mergedimage.png"))) as merged:
            assert merged.tobytes() == drawing.flattened().tobytes()
        with Image.open(io.BytesIO(archive.read("Thumbnails/thumbnail.png"))) as thumbnail:
            assert max(thumbnail.size) <= 256


def test_a_file_cut_short_is_told_at_every_length(drawing: Layers, tmp_path: Path) -> None:
    layers.save(drawing, tmp_path / "boat.ora")
    data = (tmp_path / "boat.ora").read_bytes()
    for length in range(0, len(data), 97):
        (tmp_path / "short.ora").write_bytes(data[:length])
        with pytest.raises(DamagedFile):
            layers.load(tmp_path / "short.ora")


def test_hostile_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InkwashError, match="not a file"):
        layers.load(tmp_path / "nowhere.ora")
    for name, stack in {
        "huge": '<image w="99999999" h="99999999"><stack><layer src="a.png"/></stack></image>',
        "empty": '<image w="9" h="9"><stack/></image>',
        "lost": '<image w="9" h="9"><stack><layer src="../../a.png"/></stack></image>',
        "words": '<image w="wide" h="9"><stack><layer src="a.png"/></stack></image>',
        "torn": "<image",
    }.items():
        with zipfile.ZipFile(tmp_path / f"{name}.ora", "w") as archive:
            archive.writestr("stack.xml", stack)
        with pytest.raises(DamagedFile):
            layers.load(tmp_path / f"{name}.ora")
