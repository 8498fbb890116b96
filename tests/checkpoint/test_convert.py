"""Saving as one LDM file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.support.checkpoints import sd2_spec, sdxl_spec, write_diffusers, write_ldm

from inkwash.checkpoint import ModelSpec, detect, model_weights, read_header, save_ldm
from inkwash.checkpoint import open as open_source


def test_saved_file_is_the_original_again(
    ldm_file: Path, diffusers_folder: Path, tiny: ModelSpec, tmp_path: Path
) -> None:
    """Folder (written by diffusers) -> our tensors -> LDM file: bit for bit the LDM file of the same weights."""
    path = tmp_path / "saved.safetensors"
    with open_source(diffusers_folder) as source:
        save_ldm(path, dict(model_weights(source, detect(diffusers_folder))), tiny, {"title": "tiny"})
    saved, original = load_file(path), load_file(ldm_file)
    assert set(original) - set(saved) == {
        "alphas_cumprod",
        "betas",
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
        "sqrt_one_minus_alphas_cumprod",
    }
    for name, tensor in saved.items():
        assert tensor.shape == original[name].shape
        assert torch.equal(tensor, original[name]), name


@pytest.mark.parametrize(
    "spec",
    [
        sd2_spec(vocabulary=100),
        sdxl_spec(prediction="v", dtype=torch.float16, vocabulary=100),
        sdxl_spec(refiner=True, vocabulary=100),
    ],
    ids=["SD2", "SDXL v", "refiner"],
)
def test_there_and_back_is_the_same_bits(spec: ModelSpec, tmp_path: Path) -> None:
    """Folder written by diffusers -> LDM file -> the weights of the folder again; and what the LDM file says of it."""
    folder, original, path = tmp_path / "folder", tmp_path / "original.safetensors", tmp_path / "saved.safetensors"
    write_diffusers(folder, spec)
    write_ldm(original, spec)
    with open_source(folder) as source:
        weights = dict(model_weights(source, detect(folder)))
        save_ldm(path, weights, detect(folder))
    found = detect(path)
    assert (found.prediction, found.texts, found.unet) == (spec.prediction, spec.texts, spec.unet)
    with open_source(path) as source:
        again = dict(model_weights(source, found))
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    saved, expected = load_file(path), load_file(original)
    assert set(saved) - set(expected) == ({"v_pred"} if (spec.family, spec.prediction) == ("sdxl", "v") else set())
    assert all(torch.equal(saved[name], expected[name]) for name in saved if name != "v_pred")


def test_zero_terminal_snr_survives(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.safetensors", tmp_path / "zero.safetensors"
    write_ldm(plain, sdxl_spec(vocabulary=100))
    spec = detect(plain)
    with open_source(plain) as source:
        save_ldm(path, dict(model_weights(source, spec)), replace(spec, noise=replace(spec.noise, zero_snr=True)))
    assert detect(path).noise.zero_snr


def test_prediction_is_written_and_read_back(ldm_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    spec = replace(detect(ldm_file), prediction="v")
    with open_source(ldm_file) as source:
        save_ldm(path, dict(model_weights(source, spec)), spec, {"modelspec.resolution": "64x64"})
    assert read_header(path).metadata["modelspec.prediction_type"] == "v"
    assert detect(path) == replace(spec, path=path, name="v", native_size=64, notes=())


def test_exactly_the_weights_of_the_model(ldm_file: Path, tmp_path: Path) -> None:
    spec = detect(ldm_file)
    with open_source(ldm_file) as source:
        tensors = dict(model_weights(source, spec))
    with pytest.raises(ValueError, match="stray"):
        save_ldm(tmp_path / "x.safetensors", tensors | {"stray": torch.ones(1)}, spec)
    del tensors["unet.conv_in.bias"]
    with pytest.raises(ValueError, match=r"unet\.conv_in\.bias"):
        save_ldm(tmp_path / "x.safetensors", tensors, spec)
    assert list(tmp_path.iterdir()) == []
