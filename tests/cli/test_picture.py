from pathlib import Path

import pytest
from PIL import Image
from tests.support.onnx import mean_model

from inkwash.cli import main
from inkwash.core import images

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def photo(tmp_path: Path) -> str:
    image = Image.new("RGBA", (32, 24), (100, 50, 20, 0))
    image.paste((100, 50, 20, 255), (0, 0, 16, 24))
    images.save(image, tmp_path / "photo.png", "a cat\nSteps: 2")
    return str(tmp_path / "photo.png")


@pytest.mark.parametrize(
    ("arguments", "left", "right"),
    [
        (["flatten"], (100, 50, 20), (255, 255, 255)),
        (["flatten", "--colour", "#010203"], (100, 50, 20), (1, 2, 3)),
        (["adjust", "--brightness", "0.5"], (50, 25, 10), (127, 127, 127)),
        (["normal"], (128, 128, 255), (128, 128, 255)),
    ],
)
def test_tools_change_pixels_and_keep_the_text(
    photo: str, tmp_path: Path, arguments: list[str], left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    target = tmp_path / "new.png"
    assert main(["picture", arguments[0], photo, str(target), *arguments[1:]]) == 0
    with Image.open(target) as changed:
        assert (changed.getpixel((4, 12)), changed.getpixel((28, 12))) == (left, right)
    assert images.read_metadata(target).infotext == "a cat\nSteps: 2"


def test_the_sharpest_stands_first(photo: str, tmp_path: Path, capsys: Capture) -> None:
    Image.effect_noise((64, 64), 80).save(tmp_path / "noise.png")
    Image.new("L", (64, 64)).save(tmp_path / "flat.png")
    assert main(["picture", "sharpness", str(tmp_path / "flat.png"), str(tmp_path / "noise.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("noise.png")
    assert float(lines[1].split()[0]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["flatten", "{0}", "{1}/x.png", "--colour", "bluish"], "bluish"),
        (["adjust", "{0}", "{1}/x.png", "--contrast", "99"], "--contrast"),
        (["normal", "{0}", "{0}"], "the source itself"),
        (["normal", "{1}/nothing.png", "{1}/x.png"], "not a file"),
        (["flatten", "{0}", "{1}/x.tiff"], ".png"),
    ],
)
def test_mistakes_are_told_in_words(
    photo: str, tmp_path: Path, capsys: Capture, arguments: list[str], words: str
) -> None:
    assert main(["picture", *(argument.format(photo, tmp_path) for argument in arguments)]) == 1
    assert words in capsys.readouterr().err


def test_the_background_becomes_transparent(
    photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "none"))
    command = ["picture", "background", photo, str(tmp_path / "cut.png"), "--models-dir", str(tmp_path)]
    assert main(command) == 1
    assert "Put one of rembg's there" in capsys.readouterr().err
    (tmp_path / "models" / "rembg").mkdir(parents=True)
    mean_model(tmp_path / "models" / "rembg" / "u2net.onnx", 32)
    assert main(command) == 0
    with Image.open(tmp_path / "cut.png") as cut:
        assert (cut.mode, cut.size) == ("RGBA", (32, 24))
        assert cut.getpixel((28, 12))[3] == 0  # it was transparent before
    assert images.read_metadata(tmp_path / "cut.png").infotext == "a cat\nSteps: 2"
    assert main([*command[:3], str(tmp_path / "cut.jpg")]) == 1
    assert "JPEG has no alpha" in capsys.readouterr().err


def test_depth_and_its_normals(photo: str, tmp_path: Path, capsys: Capture) -> None:
    """With a tiny MiDaS of random weights; without one it is told where to put it."""
    from safetensors.torch import save_file
    from tests.support.depth import dpt_reference, midas_state

    where = ["--models-dir", str(tmp_path), "--device", "cpu"]
    assert main(["picture", "depth", photo, str(tmp_path / "depth.png"), *where]) == 1
    assert "Put dpt_hybrid-midas" in capsys.readouterr().err
    (tmp_path / "models" / "depth").mkdir(parents=True)
    save_file(midas_state(dpt_reference()), tmp_path / "models" / "depth" / "midas.safetensors")
    assert main(["picture", "depth", photo, str(tmp_path / "depth.png"), *where]) == 0
    with Image.open(tmp_path / "depth.png") as depth:
        assert (depth.mode, depth.size, depth.getextrema()) == ("L", (32, 24), (0, 255))
    assert main(["picture", "normal", photo, str(tmp_path / "normal.png"), "--estimate", *where]) == 0
    with Image.open(tmp_path / "normal.png") as normals:
        assert (normals.mode, normals.size) == ("RGB", (32, 24))
        assert len(normals.getcolors(2**24) or ()) > 256  # the photo's own lightness would give a handful
    assert main(["picture", "normal", photo, str(tmp_path / "n.png"), "--model", "midas"]) == 1
    assert "--model is for --estimate" in capsys.readouterr().err
