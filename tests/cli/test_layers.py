from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage
from tests.cli.conftest import FakeEngine

from inkwash.cli import main
from inkwash.core import images

Capture = pytest.CaptureFixture[str]
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
MASK = Image.new("L", PHOTO.size)
MASK.paste(255, (8, 8, 24, 40))


@pytest.fixture
def boat(folders: Path) -> str:
    PHOTO.save(folders / "photo.png")
    MASK.save(folders / "mask.png")
    assert main(["layers", "new", str(folders / "photo.png"), str(folders / "boat.ora")]) == 0
    return str(folders / "boat.ora")


def flat(folders: Path, boat: str) -> np.ndarray:  # type: ignore[type-arg]
    assert main(["layers", "flatten", boat, str(folders / "flat.png")]) == 0
    return np.asarray(Image.open(folders / "flat.png").convert("RGB"))


def test_a_redraw_becomes_a_layer_with_its_recipe(
    engine: FakeEngine, folders: Path, boat: str, capsys: Capture
) -> None:
    arguments = ["--mask", str(folders / "mask.png"), "--seed", "9", "--mask-blur", "2"]
    assert main(["layers", "redraw", boat, "a boat", *arguments], engine) == 0
    assert engine.asked is not None
    assert engine.asked.init_image is not None
    assert engine.asked.init_image.tobytes() == PHOTO.tobytes()
    assert (engine.asked.mask_blur, engine.asked.denoising_strength) == (2.0, 0.75)
    capsys.readouterr()
    assert main(["layers", "list", boat, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["layers"]
    assert [layer["name"] for layer in found] == ["picture", "a boat"]
    assert "Seed: 9" in found[1]["recipe"]
    seen, inside = flat(folders, boat), np.asarray(MASK) > 0
    assert (seen[inside] == (9, 0, 0)).all()  # what the engine of these tests draws
    assert (seen[~inside] == np.asarray(PHOTO)[~inside]).all()
    assert "Seed: 9" in images.read_metadata(folders / "flat.png").infotext


def test_layers_are_hidden_moved_and_taken_back(engine: FakeEngine, folders: Path, boat: str, capsys: Capture) -> None:
    assert main(["layers", "redraw", boat, "a boat", "--mask", str(folders / "mask.png")], engine) == 0
    drawn = flat(folders, boat)
    assert main(["layers", "hide", boat, "1"]) == 0
    assert (flat(folders, boat) == np.asarray(PHOTO)).all()
    assert main(["layers", "show", boat, "1"]) == 0
    assert (flat(folders, boat) == drawn).all()
    assert main(["layers", "move", boat, "1", "0"]) == 0
    capsys.readouterr()
    assert main(["layers", "list", boat]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("a boat")
    assert main(["layers", "revert", boat, "0"]) == 0
    assert (flat(folders, boat) == np.asarray(PHOTO)).all()


def test_layers_are_exported_for_editors(engine: FakeEngine, folders: Path, boat: str, capsys: Capture) -> None:
    assert main(["layers", "export", boat, str(folders / "boat.psd")], engine) == 0
    assert capsys.readouterr().out == f"Saved to {folders / 'boat.psd'}\n"
    assert [layer.name for layer in PSDImage.open(folders / "boat.psd")] == ["picture"]


def test_mistakes_lose_nothing(engine: FakeEngine, folders: Path, boat: str, capsys: Capture) -> None:
    before = Path(boat).read_bytes()
    short = folders / "short.ora"
    short.write_bytes(before[: len(before) // 2])
    small = folders / "small.png"
    MASK.resize((8, 8)).save(small)
    for arguments, words in (
        (["layers", "hide", boat, "7"], "no layer 7"),
        (["layers", "revert", boat, "0"], "only layer"),
        (["layers", "export", boat, str(folders / "boat.ora")], "does not end in .psd"),
        (["layers", "new", str(folders / "photo.png"), boat], "already"),
        (["layers", "list", str(short)], "cut short"),
        (["layers", "redraw", boat, "a boat"], "--mask"),
        (["layers", "redraw", boat, "a boat", "--mask", str(small)], "8x8"),
    ):
        assert main(arguments, engine) == 1
        error = capsys.readouterr().err
        assert words in error
        assert "Traceback" not in error
    assert Path(boat).read_bytes() == before
