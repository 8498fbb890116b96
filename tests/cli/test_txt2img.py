import json
import os
import signal
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.conftest import FakeEngine

from inkwash.cli import main
from inkwash.core import images, infotext
from inkwash.core.errors import OutOfMemory
from inkwash.core.progress import Decoding, Event, Step
from inkwash.core.request import GenerateRequest, VaeTiles
from inkwash.core.settings import Memory

Capture = pytest.CaptureFixture[str]


def test_a_picture_is_drawn_saved_and_named(engine: FakeEngine, folders: Path, capsys: Capture) -> None:
    assert main(["txt2img", "a cute cat"], engine) == 0
    captured = capsys.readouterr()
    (path,) = (folders / "outputs" / "txt2img-images").glob("*/*.png")
    assert path.name == "00000-1234.png"
    assert captured.out == f"Saved to {path}\n"
    assert "inkwash inspect" in captured.err
    text = images.read_metadata(path).infotext
    assert infotext.to_request(infotext.parse(text)).seed == 1234
    assert main(["txt2img", "a cute cat"], engine) == 0
    assert (path.parent / "00001-1234.png").exists()


def test_json_is_one_object_and_nothing_else(engine: FakeEngine, folders: Path, capsys: Capture) -> None:
    engine.warnings = ("(x:1,2) is read as text",)
    assert main(["txt2img", "cat", "--json", "--batch-count", "2", "--seed", "5"], engine) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert answer["seeds"] == [5, 6]
    assert [Path(file).name for file in answer["files"]] == ["00000-5.png", "00001-6.png"]
    assert all(Path(file).is_file() for file in answer["files"])
    assert [infotext.parse(text)["Seed"] for text in answer["infotexts"]] == ["5", "6"]
    assert answer["seconds"] > 0
    assert answer["warnings"] == ["(x:1,2) is read as text"]
    assert "(x:1,2) is read as text" in captured.err


def test_every_flag_reaches_the_request(engine: FakeEngine, folders: Path) -> None:
    flags = """--negative dog --seed 7 --steps 3 --sampler euler --schedule karras --cfg 5.5 --width 64 --height 128
    --vae-tile 64 --vae-exact
    --batch-size 2 --batch-count 3 --model m --vae v --clip-skip 2 --strict --subseed 8 --subseed-strength 0.5
    --seed-resize-from-w 64 --seed-resize-from-h 72 --noise-source nv --ensd 31337 --sigma-min 0.1 --sigma-max 10
    --rho 5 --keep-penultimate-sigma --eta 0.3 --s-churn 1 --s-tmin 0.2 --s-tmax 9 --s-noise 1.1 --cfg-rescale 0.7
    --guidance-start 0.1 --guidance-end 0.9 --ngms 2 --ngms-all-steps --skip-early-cfg 0.2 --tiling --emphasis ignore
    --style one --style two --device cpu --dtype float32"""
    arguments = ["txt2img", "cat", *flags.split(), "--models-dir", str(folders), "--sigmas", "10, 5 0"]
    assert main(arguments, engine) == 0
    assert engine.opened == (folders, "cpu", "float32")
    assert engine.asked == GenerateRequest(
        prompt="cat", negative_prompt="dog", styles=("one", "two"), model="m", vae="v", clip_skip=2, emphasis="Ignore",
        width=64, height=128, batch_size=2, batch_count=3, seed=7, subseed=8, subseed_strength=0.5,
        seed_resize_from_w=64, seed_resize_from_h=72, noise_source="NV", ensd=31337, steps=3, sampler="Euler",
        schedule="Karras", sigmas=(10.0, 5.0, 0.0), sigma_min=0.1, sigma_max=10.0, rho=5.0,
        discard_penultimate_sigma=False, eta=0.3, s_churn=1.0, s_tmin=0.2, s_tmax=9.0, s_noise=1.1, cfg_scale=5.5,
        cfg_rescale=0.7, guidance_start=0.1, guidance_end=0.9, ngms=2.0, ngms_all_steps=True, skip_early_cfg=0.2,
        tiling=True, strict=True, vae_tiles=VaeTiles(encoder_tile=512, decoder_tile=64, fast=False),
    )  # fmt: skip


def test_without_flags_the_request_has_its_own_defaults(engine: FakeEngine) -> None:
    assert main(["txt2img", "cat"], engine) == 0
    assert engine.asked == GenerateRequest(prompt="cat")
    assert main(["txt2img", "cat", "--fast"], engine) == 0
    assert engine.asked.strict is False


@pytest.mark.parametrize(
    ("arguments", "name", "format"),
    [
        (["--out", "{}/deep/cat.jpg"], "deep/cat.jpg", "JPEG"),
        (["--out", "{}/folder", "--format", "webp"], "folder/00000-1234.webp", "WEBP"),
        (["--out", "{}", "--pattern", "[prompt_words]-[width]"], "cat-64.png", "PNG"),
    ],
)
def test_where_pictures_go(engine: FakeEngine, folders: Path, arguments: list[str], name: str, format: str) -> None:
    filled = [argument.format(folders) for argument in arguments]
    assert main(["txt2img", "cat", *filled], engine) == 0
    with Image.open(folders / name) as picture:
        assert picture.format == format


def test_a_pattern_without_a_number_never_overwrites(engine: FakeEngine, folders: Path) -> None:
    for _ in range(3):
        assert main(["txt2img", "cat", "--out", str(folders), "--pattern", "cat"], engine) == 0
    assert sorted(path.name for path in folders.glob("*.png")) == ["cat-1.png", "cat-2.png", "cat.png"]


def test_a_named_file_with_several_pictures_is_numbered(engine: FakeEngine, folders: Path) -> None:
    assert main(["txt2img", "cat", "--out", str(folders / "cat.png"), "--batch-size", "2"], engine) == 0
    assert sorted(path.name for path in folders.glob("*.png")) == ["cat-1.png", "cat-2.png"]


def test_save_steps_writes_each_step_and_the_schedule(engine: FakeEngine, folders: Path, capsys: Capture) -> None:
    arguments = [
        "txt2img",
        "cat",
        "--save-steps",
        "--steps",
        "10",
        "--out",
        str(folders),
        "--batch-size",
        "2",
        "--json",
    ]
    assert main(arguments, engine) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["steps"] == [str(folders / "00000-1234-steps"), str(folders / "00001-1235-steps")]
    names = sorted(path.name for path in (folders / "00000-1234-steps").iterdir())
    assert names == ["schedule.png", *(f"step-{step:02}.png" for step in range(1, 11))]
    with Image.open(folders / "00000-1234-steps" / "step-05.png") as picture:
        assert picture.size == (64, 64)
        assert picture.getpixel((0, 0)) == (128, 128, 128)  # grey 5/10 of 255, rounded
    assert list(folders.glob(".steps-*")) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sampler", "Eulr"], ["sampler", "Eulr", "Euler"]),
        (["--schedule", "karas"], ["Karras"]),
        (["--width", "513"], ["513", "520"]),
        (["--dtype", "float64"], ["float32"]),
        (["--format", "pgn"], ["png"]),
        (["--pattern", "[sed]"], ["[seed]"]),
        (["--sigmas", "a b"], ["--sigmas"]),
        (["--out", "x.png", "--format", "jpeg"], ["--format"]),
        (["--out", "x.tiff"], [".png"]),
        (["--quality", "101"], ["quality"]),
    ],
)
def test_wrong_values_are_told_before_an_engine_is_opened(
    engine: FakeEngine, capsys: Capture, arguments: list[str], words: list[str]
) -> None:
    assert main(["txt2img", "cat", *arguments], engine) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert "what to do: " in captured.err
    assert all(word in captured.err for word in words)
    assert "Traceback" not in captured.err
    assert engine.opened == (None, None, None)


def test_an_unknown_flag_is_told_with_the_nearest(engine: FakeEngine, capsys: Capture) -> None:
    assert main(["txt2img", "cat", "--stpes", "3"], engine) == 2
    assert "--steps" in capsys.readouterr().err


def test_an_unwritable_folder_is_told_before_drawing(engine: FakeEngine, folders: Path, capsys: Capture) -> None:
    (folders / "file").write_text("")
    assert main(["txt2img", "cat", "--out", str(folders / "file" / "deeper")], engine) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert engine.asked is None


def test_ctrl_c_stops_within_one_step_and_keeps_what_is_finished(
    engine: FakeEngine, folders: Path, capsys: Capture
) -> None:
    steps_after: list[Event] = []

    def interrupt(event: Event) -> None:
        if isinstance(event, Step) and event.image == 1:
            steps_after.append(event)
            if event.step == 2:
                os.kill(os.getpid(), signal.SIGINT)

    engine.watch = interrupt
    before = signal.getsignal(signal.SIGINT)
    arguments = ["txt2img", "cat", "--out", str(folders), "--batch-count", "3", "--steps", "5", "--save-steps"]
    assert main(arguments, engine) == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert len(steps_after) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith("Saved to ")
    assert "1 of 3 pictures" in captured.err
    assert [path.name for path in folders.glob("*.png")] == ["00000-1234.png"]
    assert list(folders.glob(".*")) == []


def test_a_cancelled_json_still_names_the_finished(engine: FakeEngine, folders: Path, capsys: Capture) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, Decoding) and event.image == 1:
            os.kill(os.getpid(), signal.SIGINT)

    engine.watch = interrupt
    assert main(["txt2img", "cat", "--json", "--batch-count", "2"], engine) == 130
    answer = json.loads(capsys.readouterr().out)
    assert answer["cancelled"] is True
    assert len(answer["files"]) == 1


def test_out_of_memory_is_told_in_words(engine: FakeEngine, capsys: Capture) -> None:
    def fail(event: Event) -> None:
        raise OutOfMemory("8 GB are needed, 2 GB are free.", "Draw smaller.")

    engine.watch = fail
    assert main(["txt2img", "cat"], engine) == 1
    assert capsys.readouterr().err.endswith("error: 8 GB are needed, 2 GB are free.\n  what to do: Draw smaller.\n")


def test_a_defect_shows_a_traceback_and_where_to_report(engine: FakeEngine, capsys: Capture) -> None:
    def fail(event: Event) -> None:
        raise ZeroDivisionError("oh")

    engine.watch = fail
    assert main(["txt2img", "cat"], engine) == 1
    captured = capsys.readouterr()
    assert "ZeroDivisionError: oh" in captured.err
    assert "report" in captured.err


def test_memory_is_told_to_the_engine(engine: FakeEngine, folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["txt2img", "cat", "--memory-policy", "sequential", "--memory-limit", "6"], engine) == 0
    assert engine.memory == Memory(policy="sequential", limit=6.0)
    assert main(["txt2img", "cat", "--memory-policy", "small"], engine) == 1
    assert "automatic, resident, swapped, sequential" in capsys.readouterr().err
