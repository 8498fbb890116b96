"""``inkwash upscale``: real upscalers, small pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.conftest import FakeEngine
from tests.support import faces, upscalers

from inkwash.cli import main
from inkwash.core import images

Capture = pytest.CaptureFixture[str]
TEXT = "a cat\nSteps: 4, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 12x8"


@pytest.fixture
def photo(folders: Path) -> Path:
    path = folders / "photo.png"
    images.save(Image.linear_gradient("L").resize((12, 8)).convert("RGB"), path, TEXT)
    return path


@pytest.fixture
def learned(folders: Path) -> str:
    upscalers.saved(upscalers.compact(), folders / "library" / "models" / "ESRGAN" / "Sharp.safetensors")
    return "sharp"


@pytest.mark.parametrize(
    ("flags", "size"),
    [
        ([], (24, 16)),
        (["--scale", "3.5"], (42, 28)),
        (["--to", "60"], (60, 40)),
        (["--width", "30"], (30, 20)),
        (["--height", "30"], (45, 30)),
        (["--width", "30", "--height", "30"], (30, 30)),
    ],
)
def test_any_size(photo: Path, learned: str, folders: Path, flags: list[str], size: tuple[int, int]) -> None:
    assert main(["upscale", str(photo), "--upscaler", learned, *flags]) == 0
    (made,) = (folders / "outputs" / "extras-images").glob("*/*.png")
    assert made.name == f"photo-{size[0]}x{size[1]}.png"
    with Image.open(made) as image:
        assert image.size == size
        assert image.info["parameters"] == TEXT
        assert image.info["postprocessing"].endswith("Postprocess upscaler: Sharp")


def test_files_are_named_and_never_overwritten(photo: Path, folders: Path, capsys: Capture) -> None:
    other = folders / "other.png"
    Image.new("RGBA", (4, 4)).save(other)
    flags = ["--upscaler", "Nearest", "--out", str(folders / "here"), "--json"]
    assert main(["upscale", str(photo), str(other), *flags]) == 0
    first = json.loads(capsys.readouterr().out)["files"]
    assert [Path(path).name for path in first] == ["photo-24x16.png", "other-8x8.png"]
    assert main(["upscale", str(photo), *flags]) == 0
    assert Path(json.loads(capsys.readouterr().out)["files"][0]).name == "photo-24x16-2.png"
    assert main(["upscale", str(photo), "--upscaler", "Lanczos", "--out", str(folders / "large.jpg")]) == 0
    assert images.read_metadata(folders / "large.jpg").infotext == TEXT


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--upscaler", "Shrap"], "Sharp"),
        (["--scale", "2", "--to", "64"], "contradict"),
        (["--scale", "99"], "16"),
        (["--to", "0"], "--to"),
        (["--to", "100000"], "8192"),
        (["--out", "{}/photo.png"], "picture itself"),
        (["--out", "{}/photo.tiff"], "picture format"),
        (["{}/absent.png"], "absent.png"),
        (["{}/photo.png", "--out", "{}/one.png"], "Name a folder"),
    ],
)
def test_mistakes_are_told_in_words(
    photo: Path, learned: str, folders: Path, capsys: Capture, flags: list[str], words: str
) -> None:
    assert main(["upscale", str(photo), *(flag.format(folders) for flag in flags)]) == 1
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err


def test_faces_are_restored_and_no_more_if_so_asked(
    folders: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folders / "library" / "models" / "GFPGAN" / "GFPGANv1.4.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    monkeypatch.setattr("inkwash.generation.tools.load_restorer", lambda path, compute, name: faces.negative())
    monkeypatch.setattr("inkwash.generation.tools.finder", lambda: faces.Known(faces.LANDMARKS / 4))
    grey, out = folders / "grey.png", folders / "out.png"
    Image.new("RGB", (64, 48), (10, 20, 30)).save(grey)
    flags = ["--upscaler", "None", "--restore-faces", "gfpgan", "--face-visibility", "0.5", "--out", str(out)]
    assert main(["upscale", str(grey), *flags]) == 0
    with Image.open(out) as made:
        assert made.size == (64, 48)
        assert made.getpixel((24, 24)) == (128, 128, 128)
        assert made.getpixel((63, 47)) == (10, 20, 30)
        assert made.info["postprocessing"] == "GFPGAN visibility: 0.5"
    monkeypatch.setattr("inkwash.generation.tools.finder", faces.Known)
    capsys.readouterr()
    assert main(["upscale", str(grey), *flags, "--json"]) == 0
    told = capsys.readouterr()
    assert "grey.png: No face was found" in told.err
    assert "grey.png: No face was found" in json.loads(told.out)["warnings"][0]


def test_without_a_restorer_the_file_that_is_missing_is_named(photo: Path, capsys: Capture) -> None:
    assert main(["upscale", str(photo), "--restore-faces", "CodeFormer"]) == 1
    assert "codeformer-v0.1.0.pth into models/Codeformer" in capsys.readouterr().err


def test_the_list_of_models_shows_upscalers(learned: str, engine: FakeEngine, capsys: Capture) -> None:
    assert main(["models", "list", "--json"], engine) == 0
    assert "Sharp" in [one["name"] for one in json.loads(capsys.readouterr().out)["upscalers"]]
    assert main(["models"], engine) == 0
    assert "upscaler Sharp.safetensors" in capsys.readouterr().out
