"""Saving as one LDM file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

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
