"""Pictures from the files people have: pickled checkpoints, 8-bit weights, marked and distilled models."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.support.checkpoints import sd1_spec, sdxl_spec, write_diffusers, write_ldm

from inkwash.checkpoint import detect, sha256
from inkwash.checkpoint.pickles import process
from inkwash.cli import main
from inkwash.core.progress import Event, Step
from inkwash.core.request import GenerateRequest
from inkwash.generation.engine import Engine
from inkwash.generation.text import encode_chunks
from inkwash.prompt import load_tokenizer, tokenize

REQUEST = GenerateRequest(prompt="a cat", seed=5, steps=3, width=64, height=64, model="model")
SMALL = sd1_spec((32, 64), depths=(1, 0), text_layers=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INKWASH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("INKWASH_OUTPUTS_DIR", str(tmp_path / "outputs"))
    monkeypatch.setenv("INKWASH_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "cache"


def drawn(folder: Path, request: GenerateRequest = REQUEST) -> torch.Tensor:
    """By a new engine."""
    return Engine(folder, "cpu", "float32").generate(request).latents


def forbidden(*_: Any, **__: Any) -> Any:
    raise AssertionError("this must not be called")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A training checkpoint as PyTorch saves it, and beside its folder the same weights in safetensors."""
    write_ldm(tmp_path / "safe" / "model.safetensors", SMALL)
    path = tmp_path / "pickled" / "model.ckpt"
    path.parent.mkdir()
    weights = load_file(tmp_path / "safe" / "model.safetensors")
    torch.save({"state_dict": weights, "global_step": 7, "optimizer_states": [{"state": {}}]}, path)
    return path


def test_a_pickled_checkpoint_draws_and_is_converted_once(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bits as from safetensors; kept under its SHA-256; nothing here unpickles, and later nothing reads."""
    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, forbidden)
    expected = drawn(checkpoint.parents[1] / "safe")
    assert torch.equal(drawn(checkpoint.parent), expected)
    [kept] = cache.glob("converted-*/*")
    assert kept.name == f"{sha256(checkpoint)}.safetensors"
    written = kept.stat()
    monkeypatch.setattr(process.subprocess, "Popen", forbidden)
    assert torch.equal(drawn(checkpoint.parent), expected)
    assert kept.stat() == written


def test_the_command_line_draws_from_it(checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = checkpoint.parents[1] / "outputs"
    size = ["--width", "64", "--height", "64"]
    arguments = ["txt2img", "cat", "--steps", "2", *size, "--seed", "5", "--device", "cpu", "--model", "model"]
    arguments += ["--models-dir"]
    assert main([*arguments, str(checkpoint.parent)]) == 0
    assert len(list(cache.glob("converted-*/*"))) == 1
    monkeypatch.setattr(process.subprocess, "Popen", forbidden)
    assert main([*arguments, str(checkpoint.parent)]) == 0
    first, second = sorted(outputs.rglob("*.png"))
    with Image.open(first) as left, Image.open(second) as right:
        assert left.tobytes() == right.tobytes()
        assert f"Model hash: {sha256(checkpoint)[:10]}" in left.text["parameters"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("stored", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_eight_bit_weights_draw_as_the_numbers_they_hold(stored: torch.dtype, tmp_path: Path) -> None:
    write_ldm(tmp_path / "small" / "model.safetensors", dataclasses.replace(SMALL, dtype=str(stored)[6:]))
    weights = load_file(tmp_path / "small" / "model.safetensors")
    (tmp_path / "wide").mkdir()
    wide = {name: weight.float() if weight.dtype == stored else weight for name, weight in weights.items()}
    save_file(wide, tmp_path / "wide" / "model.safetensors")
    latents = drawn(tmp_path / "small")
    assert bool(latents.isfinite().all())
    assert torch.equal(latents, drawn(tmp_path / "wide"))


def test_offset_noise_in_training_changes_nothing_in_drawing(tmp_path: Path) -> None:
    told = {"ss_noise_offset": "0.0357", "ss_adaptive_noise_scale": "0.005"}
    for folder, metadata in (("with", told), ("without", None)):
        write_ldm(tmp_path / folder / "model.safetensors", SMALL, metadata=metadata)
    assert torch.equal(drawn(tmp_path / "with"), drawn(tmp_path / "without"))


def test_markers_of_velocity_and_zero_terminal_snr(tmp_path: Path) -> None:
    """An SD 1.x file with the keys v_pred and ztsnr predicts v, on a schedule that begins at pure noise."""
    write_ldm(tmp_path / "plain" / "model.safetensors", SMALL, metadata={"modelspec.prediction_type": "v"})
    weights = load_file(tmp_path / "plain" / "model.safetensors")
    (tmp_path / "marked").mkdir()
    save_file(weights | {"v_pred": torch.empty(0), "ztsnr": torch.empty(0)}, tmp_path / "marked" / "model.safetensors")
    spec = detect(tmp_path / "marked" / "model.safetensors")
    assert (spec.prediction, spec.noise.zero_snr) == ("v", True)
    sigmas = (14.6, 3.0, 0.0)  # known to both schedules, though at other timesteps
    request = dataclasses.replace(REQUEST, sigmas=sigmas)
    assert not torch.equal(drawn(tmp_path / "marked", request), drawn(tmp_path / "plain", request))
    engine = Engine(tmp_path / "marked", "cpu", "float32")
    assert engine.model("model").noise_schedule.sigma_max == pytest.approx(4096, rel=1e-3)
    assert bool(engine.generate(REQUEST).latents.isfinite().all())


@pytest.mark.parametrize(
    ("name", "sampler", "schedule", "steps"),
    [
        ("sd_xl_turbo_1.0", "Euler a", "Automatic", 1),
        ("dreamshaper_lcm", "LCM", "Automatic", 4),
        ("juggernaut_lightning_4step", "Euler", "SGM Uniform", 4),
    ],
)
def test_distilled_models_take_their_few_steps(
    name: str, sampler: str, schedule: str, steps: int, tmp_path: Path
) -> None:
    """One U-Net call of one row a step at a CFG scale of 1, and no word about it; at 20 steps a word."""
    write_ldm(tmp_path / f"{name}.safetensors", SMALL)
    engine, seen = Engine(tmp_path, "cpu", "float32"), list[Step]()
    calls: list[int] = []
    engine.model(name).unet.register_forward_pre_hook(lambda _, given: calls.append(len(given[0])))
    request = dataclasses.replace(REQUEST, model=name, sampler=sampler, schedule=schedule, steps=steps, cfg_scale=1.0)

    def watch(event: Event) -> None:
        if isinstance(event, Step):
            seen.append(event)

    result = engine.generate(request, watch)
    assert calls == [1] * steps
    assert len(seen) == steps
    assert not any("1 to 8 steps" in words for words in result.warnings)
    slow = engine.generate(dataclasses.replace(request, steps=20, cfg_scale=7.0))
    assert any("1 to 8 steps" in words for words in slow.warnings)


@torch.no_grad()
def test_both_encoders_of_xl_are_read_as_a1111_reads_them(tmp_path: Path) -> None:
    """Whatever clip skip says: the layer before the last, without the last norm, of each; every encoder's vectors
    times the weights, their mean restored; the pooled text of the second, projected, without weights."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    spec = sdxl_spec((64, 64), (0, 1), text_layers=(5, 6))
    write_ldm(tmp_path / "ours" / "model.safetensors", spec)
    write_diffusers(tmp_path / "theirs", spec)
    model = Engine(tmp_path / "ours", "cpu", "float32").model("model")
    ids, weights = load_tokenizer().encode("a cat here"), torch.ones(77, 1)
    weights[2] = 1.5  # after the start token and "a"
    expected = []
    for name, kind, padding in (
        ("text_encoder", CLIPTextModel, 49407),
        ("text_encoder_2", CLIPTextModelWithProjection, 0),
    ):
        network = kind.from_pretrained(tmp_path / "theirs" / name)
        line = [49406, *ids, 49407, *[padding] * (75 - len(ids))]
        output = network(torch.tensor([line]), output_hidden_states=True)
        plain = output.hidden_states[-2][0]
        expected.append(plain * weights * (plain.mean() / (plain * weights).mean()))
    for clip_skip in (1, 2, 4):
        found = encode_chunks(model, tuple(tokenize("a (cat:1.5) here", load_tokenizer())), clip_skip, "Original")
        assert torch.allclose(found.context, torch.cat(expected, dim=1), atol=1e-4, rtol=1e-4)
        assert found.pooled is not None
        assert torch.allclose(found.pooled, output.text_embeds[0], atol=1e-4, rtol=1e-4)
