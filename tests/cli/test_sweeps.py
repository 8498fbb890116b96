from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.conftest import FakeEngine

from inkwash.cli import main
from inkwash.core.progress import Drawn, Event

Capture = pytest.CaptureFixture[str]


def test_a_sweep_saves_its_cells_and_a_sheet(engine: FakeEngine, folders: Path, capsys: Capture) -> None:
    axes = ["--x", "steps: 2-4 (+2)", "--y", "Sampler: Euler, heun", "--z", "cfg: 3, 7"]
    assert main(["sweep", "a cat", *axes, "--seed", "4", "--json"], engine) == 0
    answer = json.loads(capsys.readouterr().out)
    found = [(request.cfg_scale, request.sampler, request.steps) for request in engine.all_asked]
    assert found[:4] == [(3, "Euler", 2), (3, "Euler", 4), (3, "Heun", 2), (3, "Heun", 4)]
    assert len(answer["files"]) == 8
    assert answer["seeds"] == [4] * 8
    (sheet,) = answer["sheets"]
    with Image.open(sheet) as page:
        assert page.width > 2 * 64
        assert page.height > 4 * 64
        assert "Steps" in page.info["parameters"]


@pytest.mark.parametrize(("arguments", "cells"), [(["a | b | c", "--matrix"], 4), (["a cat", "--contact"], 16)])
def test_matrix_and_contact_sheet(engine: FakeEngine, arguments: list[str], cells: int) -> None:
    assert main(["sweep", *arguments, "--steps", "1"], engine) == 0
    assert len(engine.all_asked) == cells


def test_words_are_left_out_one_by_one(engine: FakeEngine, folders: Path, capsys: Capture) -> None:
    assert main(["words", "a cute cat", "--steps", "1"], engine) == 0
    assert [request.prompt for request in engine.all_asked] == ["a cute cat", "cute cat", "a cat", "a cute"]
    assert len({request.seed for request in engine.all_asked}) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("grid-0000.png")
    assert len(lines) == 5


def test_a_sweep_can_start_from_a_picture(engine: FakeEngine, folders: Path) -> None:
    Image.new("RGB", (32, 32)).save(folders / "photo.png")
    arguments = ["--x", "strength: 0.2-0.6 [3]", "--from", str(folders / "photo.png"), "--steps", "1"]
    assert main(["sweep", "a cat", *arguments], engine) == 0
    assert [request.denoising_strength for request in engine.all_asked] == [0.2, 0.4, 0.6]
    assert all(request.init_image is not None for request in engine.all_asked)


def test_ctrl_c_keeps_the_cells_that_are_finished(engine: FakeEngine, folders: Path, capsys: Capture) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, Drawn) and engine.asked is not None and engine.asked.steps == 2:
            os.kill(os.getpid(), signal.SIGINT)

    engine.watch = interrupt
    assert main(["sweep", "a cat", "--x", "steps: 1-4", "--json"], engine) == 130
    answer = json.loads(capsys.readouterr().out)
    assert answer["cancelled"] is True
    assert len(answer["files"]) == 2
    assert answer["sheets"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sweep", "a cat"], "--matrix"),
        (["sweep", "a cat", "--x", "steps"], "colon"),
        (["sweep", "a cat", "--x", "stpes: 1-4"], "steps"),
        (["sweep", "a cat", "--x", "seed: 1-100", "--y", "steps: 1-100"], "10000 cells"),
        (["sweep", "a cat", "--x", "sampler: Euler, Eulr"], "Eulr"),
        (["sweep", "a cat", "--x", "strength: 0.5, 2", "--from", "{}/photo.png"], "denoising_strength"),
        (["sweep", "a cat", "--contact", "--save-steps"], "--save-steps"),
        (["words", "1 2"], "no words"),
    ],
)
def test_mistakes_are_told_before_anything_is_drawn(
    engine: FakeEngine, folders: Path, capsys: Capture, arguments: list[str], words: str
) -> None:
    Image.new("RGB", (32, 32)).save(folders / "photo.png")
    assert main([argument.format(folders) for argument in arguments], engine) == 1
    assert words in capsys.readouterr().err
    assert engine.all_asked == ()
