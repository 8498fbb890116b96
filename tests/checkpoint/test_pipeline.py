"""Pipelines we write, loaded by diffusers and by ourselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.checkpoints import random_weights, sd1_spec, sd2_spec, sdxl_spec, x4_spec

from inkwash.checkpoint import FAMILIES, ModelSpec, detect, model_weights, save_diffusers, save_ldm
from inkwash.checkpoint import open as open_source
from inkwash.checkpoint.pipeline import diffusers_folder
from inkwash.checkpoint.weights import stored_weights
from inkwash.core.files import CannotWrite
from inkwash.prompt import load_tokenizer

SPECS = {
    "SD1": sd1_spec(),
    "SD1 inpainting": sd1_spec(in_channels=9, prediction="v"),
    "SD2": sd2_spec(),
    "x4": x4_spec(),
    "SDXL zero-terminal SNR": replace(sdxl_spec(prediction="v"), noise=replace(sdxl_spec().noise, zero_snr=True)),
    "refiner": sdxl_spec((64, 128, 128, 64), (0, 2, 2, 0), refiner=True),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_diffusers_loads_what_a_file_becomes(spec: ModelSpec, tmp_path: Path) -> None:
    """The pipeline its index names, by its own loader: the same classes, the same bits, the same noise and tokens."""
    from diffusers import DiffusionPipeline

    weights, file = random_weights(spec), tmp_path / "model.safetensors"
    save_ldm(file, weights, spec)
    with open_source(file) as source:
        diffusers_folder(stored_weights(source, detect(file)), detect(file)).write(tmp_path / "model")
    pipeline: Any = DiffusionPipeline.from_pretrained(tmp_path / "model")
    components = ["unet", "vae", *(place.component for place in FAMILIES[spec.family].texts)]
    for component in components:
        state = getattr(pipeline, component).state_dict()
        ours = {name.removeprefix(f"{component}."): name for name in weights if name.startswith(f"{component}.")}
        if "embeddings.token_embedding.weight" in state:
            ours = {name.removeprefix("text_model."): key for name, key in ours.items()}  # transformers 5
        state.pop("text_model.embeddings.position_ids", None)
        assert state.keys() == ours.keys()
        assert all(torch.equal(state[name], weights[key]) for name, key in ours.items())
    assert pipeline.scheduler.config.prediction_type == {"eps": "epsilon", "v": "v_prediction"}[spec.prediction]
    tokenizer = pipeline.tokenizer_2 if spec.family == "sdxl-refiner" else pipeline.tokenizer
    text = "A cute cat's 猫, best quality"  # not "!", which transformers takes for padding where that is token 0
    padded = tokenizer(text, padding="max_length", max_length=77).input_ids
    assert padded[1:-1][: len(load_tokenizer().encode(text))] == load_tokenizer().encode(text)
    assert padded[-1] == spec.texts[0].padding


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_we_load_what_we_write(spec: ModelSpec, tmp_path: Path) -> None:
    weights = random_weights(spec)
    save_diffusers(tmp_path / "model", weights, spec)
    found = detect(tmp_path / "model")
    assert found == replace(spec, path=tmp_path / "model", name="model", layout="diffusers")
    with open_source(tmp_path / "model") as source:
        again = dict(model_weights(source, found))
    assert again.keys() == set(weights)
    assert all(torch.equal(again[name], weights[name]) for name in again)


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    spec = sd1_spec((32,), depths=(1,), vae_channels=(32,))
    weights = dict(random_weights(spec))
    with pytest.raises(ValueError, match="missing"):
        save_diffusers(tmp_path / "model", dict(list(weights.items())[:-1]), spec)
    assert list(tmp_path.iterdir()) == []
    save_diffusers(tmp_path / "model", weights, spec)
    with pytest.raises(CannotWrite, match="already"):
        save_diffusers(tmp_path / "model", weights, spec)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
