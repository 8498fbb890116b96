import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import inkwash
from inkwash.cli import main
from inkwash.core import choices, images

Capture = pytest.CaptureFixture[str]
TEXT = "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64"


def test_the_names_known_without_torch_are_the_registries_own() -> None:
    assert set(choices.SAMPLERS) == set(inkwash.diffusion.SAMPLERS)
    assert set(choices.SCHEDULES) - {"Automatic"} == set(inkwash.diffusion.SCHEDULES) - {"Automatic"}


QUICK = [["--help"], ["txt2img", "--help"], ["version"]]


def run_lightly(arguments: list[str]) -> None:
    """Raises CalledProcessError if it fails or imports what is slow."""
    code = (
        "import sys; from inkwash.cli import main; status = main(sys.argv[1:]);"
        "assert not {'torch', 'numpy', 'PIL', 'tokenizers'} & set(sys.modules); sys.exit(status)"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


@pytest.mark.parametrize("arguments", QUICK)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    run_lightly(arguments)


@pytest.mark.slow  # a time, of a quiet machine: a crowded one has taken 0.65 s of its processor
@pytest.mark.parametrize("arguments", QUICK)
def test_help_is_quick(arguments: list[str]) -> None:
    before = os.times()
    run_lightly(arguments)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5


def test_help_names_every_command(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("txt2img", "inspect", "tokens", "doctor", "models", "version"))


def test_version(capsys: Capture) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"inkwash {inkwash.__version__}\n"


def test_an_unknown_command_is_told_with_the_nearest(capsys: Capture) -> None:
    assert main(["txt2imgg"]) == 2
    assert "txt2img" in capsys.readouterr().err


def test_inspect_shows_what_drew_a_picture(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "cat.png"
    images.save(Image.new("RGB", (64, 64)), path, TEXT)
    assert main(["inspect", str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["prompt"], answer["negative_prompt"], answer["infotext"]) == ("a cat", "dog", TEXT)
    assert answer["parameters"]["Size-1"] == "64"
    assert (answer["format"], answer["width"], answer["height"]) == ("PNG", 64, 64)
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "PNG, 64x64" in shown
    assert "a cat" in shown


def test_inspect_disarms_control_characters(tmp_path: Path, capsys: Capture) -> None:
    images.save(Image.new("RGB", (8, 8)), tmp_path / "cat.png", "evil \x1b[2J\u202e text")
    assert main(["inspect", str(tmp_path / "cat.png")]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize(
    ("name", "words"),
    [("absent.png", "not a file"), ("text.png", "not a picture"), ("model.safetensors", "is a model")],
)
def test_inspect_tells_what_is_no_picture(tmp_path: Path, capsys: Capture, name: str, words: str) -> None:
    (tmp_path / "text.png").write_text("hello")
    assert main(["inspect", str(tmp_path / name)]) == 1
    assert words in capsys.readouterr().err


def test_doctor_reports_every_part(folders: Path, capsys: Capture) -> None:
    status = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    names = [finding["name"] for finding in report["findings"]]
    assert names == [
        "python", "system", "memory", "disk", "packages", "torch", "device", "upscalers", "faces", "settings", "models",
        "outputs",
    ]  # fmt: skip
    assert status == (0 if report["ok"] else 1)
    states = {finding["name"]: finding["state"] for finding in report["findings"]}
    assert states["packages"] == states["torch"] == states["outputs"] == "ok"
    assert not (folders / "outputs").exists()
    assert all(finding["remedy"] for finding in report["findings"] if finding["state"] == "missing")


def test_doctor_tells_a_folder_that_cannot_be_written(
    folders: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders / "file").write_text("")
    monkeypatch.setenv("INKWASH_OUTPUTS_DIR", str(folders / "file" / "outputs"))
    assert main(["doctor", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    (outputs,) = [finding for finding in findings if finding["name"] == "outputs"]
    assert outputs["state"] == "missing"
    assert outputs["remedy"]


def test_models_lists_files_by_name(folders: Path, capsys: Capture) -> None:
    folder = folders / "library" / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    (folder / "mine.safetensors").write_bytes(b"")
    assert main(["models", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "mine" in [entry["name"] for entry in answer["models"]]
    assert main(["models"]) == 0
    assert "mine" in capsys.readouterr().out
