"""``inkwash models``: its commands from names to files, and people's mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.support.checkpoints import sd1_spec, write_ldm
from tests.support.hub import running_hub

from inkwash.checkpoint import read_header, sha256, write
from inkwash.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def library(folders: Path) -> Path:
    """Two tiny models where A1111 keeps them, the first with EMA weights and as .ckpt too."""
    folder = folders / "library" / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    for seed, name in enumerate("ab"):
        write_ldm(folder / f"{name}.safetensors", sd1_spec(vocabulary=100), seed=seed, ema=seed == 0)
    torch.save({"state_dict": load_file(folder / "a.safetensors")}, folder / "old.ckpt")
    return folder


def answer(arguments: list[str], capsys: Capture) -> dict[str, object]:
    assert main([*arguments, "--json"]) == 0
    told: dict[str, object] = json.loads(capsys.readouterr().out)
    return told


def test_list_is_what_models_alone_does(library: Path, capsys: Capture) -> None:
    assert answer(["models"], capsys) == answer(["models", "list"], capsys)
    assert main(["models"]) == 0
    assert "old" in capsys.readouterr().out


def test_info_of_a_checkpoint(library: Path, capsys: Capture) -> None:
    told = answer(["models", "info", "a"], capsys)
    assert (told["family"], told["prediction"], told["dtype"], told["has_ema"]) == ("sd1", "eps", "float32", True)
    assert told["hashes"]["sha256"] == sha256(library / "a.safetensors")
    assert told["unet"]["channels"] == [32, 64, 64, 64]
    assert main(["models", "info", "old"]) == 0
    shown = capsys.readouterr().out
    for words in ("sd1, ldm layout", "widths 32, 64, 64, 64", "with EMA weights", str(library / "old.ckpt")):
        assert words in shown


def test_info_of_a_lora_shows_its_training_tags(folders: Path, capsys: Capture) -> None:
    path = folders / "ink.safetensors"
    tags = {"10_ink": {"1girl ": 30, "ink": 12}, "5_cat": {"ink": 7}}
    told = {"ss_tag_frequency": json.dumps(tags), "ss_base": "\x1b[31mred", "sshs_model_hash": "ab" * 32}
    write(path, {"lora_unet_x.lora_down.weight": torch.ones(4, 4)}, told)
    answered = answer(["models", "info", str(path)], capsys)
    assert answered["family"] is None
    assert "a LoRA" in answered["reason"]
    assert answered["tags"] == {"1girl": 30, "ink": 19}
    assert answered["hashes"]["kohya"] == "ab" * 32
    assert main(["models", "info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "1girl (30), ink (19)" in shown
    assert "\x1b" not in shown


def test_a_lora_of_rank_a_million_is_told_and_never_drawn_with(folders: Path, capsys: Capture) -> None:
    path, eight = folders / "monster.safetensors", torch.float8_e4m3fn
    down, up = torch.zeros(1_000_000, 1, dtype=eight), torch.zeros(1, 1_000_000, dtype=eight)
    write(path, {"lora_unet_x.lora_down.weight": down, "lora_unet_x.lora_up.weight": up})
    answered = answer(["models", "info", str(path)], capsys)
    assert (answered["family"], answered["tensors"], answered["bytes"]) == (None, 2, 2_000_000)
    assert main(["txt2img", "a cat", "--model", str(path)]) == 1
    shown = capsys.readouterr().err
    assert "is a LoRA, not a Stable Diffusion checkpoint" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("tags", ["[" * 100_000, "[]", '{"a": 3}', '{"a": {"b": "c"}}', "nonsense"])
def test_info_bears_damaged_tags(tags: str, folders: Path, capsys: Capture) -> None:
    path = folders / "ink.safetensors"
    write(path, {"a": torch.ones(1)}, {"ss_tag_frequency": tags})
    assert answer(["models", "info", str(path)], capsys)["tags"] == {}


def test_convert_there_and_back(library: Path, folders: Path, capsys: Capture) -> None:
    """.ckpt -> .safetensors -> folder -> .safetensors, the same weights throughout."""
    assert main(["models", "convert", "old", str(folders / "1.safetensors")]) == 0
    assert main(["models", "convert", str(folders / "1.safetensors"), str(folders / "2")]) == 0
    assert main(["models", "convert", str(folders / "2"), str(folders / "3.safetensors")]) == 0
    first, last = load_file(folders / "1.safetensors"), load_file(folders / "3.safetensors")
    assert set(last) <= set(first)
    assert all(torch.equal(last[name], first[name]) for name in last)
    assert sum(name.startswith("model.diffusion_model.") for name in last) > 600
    assert "wrote" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [["convert", "old", "x.safetensors"], ["convert", "a", "x"], ["prune", "a", "x.safetensors"], ["merge", "a", "b"]],
    ids=lambda command: " ".join(command),
)
def test_a_plan_writes_nothing(
    command: list[str], library: Path, folders: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders / "here").mkdir()
    monkeypatch.chdir(folders / "here")
    told = answer(["models", *command, "--plan", "--dtype", "float16"], capsys)
    assert told["written"] is False
    assert told["tensors"] > 600
    assert list((folders / "here").iterdir()) == []
    assert main(["models", *command, "--plan"]) == 0
    assert "would write" in capsys.readouterr().out


def test_prune_and_merge(library: Path, folders: Path, capsys: Capture) -> None:
    pruned, merged = folders / "p.safetensors", folders / "m.safetensors"
    assert main(["models", "prune", "a", str(pruned), "--ema", "--dtype", "float16"]) == 0
    assert "plain U-Net weights" in capsys.readouterr().err
    assert load_file(pruned)["model.diffusion_model.out.2.bias"].dtype == torch.float16
    numbers = ",".join(["0.5"] * 25)
    told = answer(["models", "merge", "a", "b", "-o", str(merged), "--blocks", numbers, "--base", "0"], capsys)
    recipe = json.loads(read_header(merged).metadata["sd_merge_recipe"])
    assert recipe["block_weights"] == [0, *[0.5] * 25]
    assert recipe["secondary_model_hash"] == sha256(library / "b.safetensors")
    assert told["bytes"] == sum(info.nbytes for info in read_header(merged).tensors.values())
    assert main(["models", "merge", "a", "b", "a", "-o", str(folders / "d.safetensors"), "--alpha", "1"]) == 0


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["convert", "a", "x.ckpt"], "never pickles"),
        (["convert", "b", "{library}/a.safetensors"], "--overwrite"),
        (["convert", "b", "{library}"], "exists already"),
        (["convert", "nothing", "x.safetensors"], "Known are"),
        (["convert", "a", "x.safetensors", "--dtype", "int8"], "float16"),
        (["prune", "b", "x.safetensors", "--ema"], "no EMA weights"),
        (["merge", "a", "b", "-o", "x.safetensors", "--mode", "add"], "weighted-sum"),
        (["merge", "a", "b", "-o", "x.safetensors", "--blocks", "1,2"], "IN00-IN11"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_mistakes_are_told_in_words(
    command: list[str], words: str, library: Path, folders: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders)
    assert main(["models", *(text.format(library=library) for text in command)]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert "what to do" in told
    assert "Traceback" not in told
    assert not list(folders.glob("x*"))


def test_pull_lists_well_known_models(capsys: Capture) -> None:
    listed = answer(["models", "pull", "--list"], capsys)["models"]
    assert {"sd15", "sdxl", "vae-ft-mse", "realesrgan-x4"} <= {one["name"] for one in listed}  # type: ignore[index]
    assert main(["models", "pull", "--list"]) == 0
    assert "CreativeML Open RAIL-M" in capsys.readouterr().out


def test_pull_from_a_hub_on_this_machine(
    library: Path, folders: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.repositories["someone/ink"] = {"ink.safetensors": (library / "b.safetensors").read_bytes()}
        planned = answer(["models", "pull", "someone/ink", "--plan"], capsys)
        assert planned["path"] == str(library / "ink.safetensors")
        assert not (library / "ink.safetensors").exists()
        assert answer(["models", "pull", "someone/ink"], capsys)["fetched"] is True
        assert answer(["models", "pull", "someone/ink"], capsys)["fetched"] is False
        assert answer(["models", "info", "ink"], capsys)["family"] == "sd1"
        assert main(["models", "pull", "someone/else"]) == 1
        assert "has no model someone/else" in capsys.readouterr().err
        assert main(["models", "pull", "someone/ink", "--kind", "film"]) == 1
        assert "known are model, vae" in capsys.readouterr().err
