"""Files into networks: both layouts give the same weights, other dtypes and VAEs arrive, damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.support.checkpoints import sd1_spec, sdxl_spec, write_diffusers, write_ldm

from inkwash import checkpoint
from inkwash.checkpoint import ModelSpec
from inkwash.core.errors import DamagedFile
from inkwash.models.load import load, vae_dtype, weights_size
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.runtime.device import Compute, choose
from inkwash.runtime.packing import is_packed

SPEC = sd1_spec((32, 64), depths=(1, 0), text_layers=1)
FLOAT32 = choose("cpu", "float32")


def weights(model: StableDiffusion) -> dict[str, torch.Tensor]:
    networks = {"unet": model.unet, "vae": model.vae, **{f"text {n}": text for n, text in enumerate(model.texts)}}
    return {f"{prefix}.{name}": value for prefix, n in networks.items() for name, value in n.state_dict().items()}


def test_ldm_file_and_diffusers_folder_give_the_same_weights(tmp_path: Path) -> None:
    write_ldm(tmp_path / "model.safetensors", SPEC, ema=True)
    write_diffusers(tmp_path / "folder", SPEC)
    ldm = weights(load(tmp_path / "model.safetensors", None, FLOAT32, "train"))
    diffusers = weights(load(tmp_path / "folder", None, FLOAT32, "train"))
    assert ldm.keys() == diffusers.keys()
    assert all(torch.equal(value, diffusers[name]) for name, value in ldm.items())


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_stored_dtypes_are_computed_in_the_asked_one(tmp_path: Path, stored: torch.dtype) -> None:
    path = tmp_path / "model.safetensors"
    write_ldm(path, sd1_spec((32, 64), depths=(1, 0), text_layers=1, dtype=stored))
    model = load(path, None, FLOAT32, "train")
    source = checkpoint.read(path)["model.diffusion_model.time_embed.0.weight"]
    assert source.dtype == stored
    assert torch.equal(model.unet.time_embedding.linear_1.weight, source.float())


def test_a_separate_vae_takes_the_place_of_the_models_own(tmp_path: Path) -> None:
    path, vae = tmp_path / "model.safetensors", tmp_path / "vae.safetensors"
    write_ldm(path, SPEC)
    write_ldm(tmp_path / "other.safetensors", SPEC, seed=1)
    other = checkpoint.read(tmp_path / "other.safetensors")
    prefix = "first_stage_model."
    checkpoint.write(vae, {name.removeprefix(prefix): t for name, t in other.items() if name.startswith(prefix)})
    own, swapped = (weights(load(path, file, FLOAT32, "train")) for file in (None, vae))
    expected = weights(load(tmp_path / "other.safetensors", None, FLOAT32, "train"))
    for name, value in swapped.items():
        assert torch.equal(value, (expected if name.startswith("vae.") else own)[name])


@pytest.mark.parametrize(
    ("spec", "dtype", "expected"),
    [
        (sdxl_spec(), torch.float16, torch.float32),
        (sdxl_spec(), torch.bfloat16, torch.bfloat16),
        (sd1_spec(), torch.float16, torch.float16),
    ],
)
def test_the_autoencoder_of_xl_never_computes_in_float16(
    spec: ModelSpec, dtype: torch.dtype, expected: torch.dtype
) -> None:
    assert vae_dtype(spec, dtype) == expected


def test_a_model_in_half_precision_decodes_in_float32(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_ldm(path, sdxl_spec((64, 64), (0, 1)))
    model = load(path, None, Compute(torch.device("cpu"), torch.float16))
    kinds = {network: {p.dtype for p in network.parameters()} for network in (model.unet, model.vae, *model.texts)}
    assert kinds.pop(model.vae) == {torch.float32}
    assert set.union(*kinds.values()) == {torch.float16}
    assert model.decode(torch.ones(4, 8, 8)).isfinite().all()


def test_the_size_is_that_of_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_ldm(path, SPEC)
    model = load(path, None, FLOAT32, "train")
    assert weights_size(model.spec, FLOAT32) == sum(tensor.nbytes for tensor in weights(model).values())


def test_purpose_decides_about_packing(tmp_path: Path) -> None:
    write_ldm(tmp_path / "model.safetensors", SPEC)
    drawing, training = (load(tmp_path / "model.safetensors", None, FLOAT32, purpose) for purpose in ("draw", "train"))
    assert is_packed(drawing.unet)
    assert not is_packed(training.unet)
    assert all(parameter.requires_grad for parameter in training.unet.parameters())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float) -> None:
    path = tmp_path / "model.safetensors"
    write_ldm(path, SPEC)
    tensors = {name: tensor.clone() for name, tensor in checkpoint.read(path).items()}
    tensors["model.diffusion_model.out.2.weight"][0, 0, 0, 0] = value
    checkpoint.write(tmp_path / "bad.safetensors", tensors)
    with pytest.raises(DamagedFile, match=r"unet\.conv_out\.weight"):
        load(tmp_path / "bad.safetensors", None, FLOAT32)


def test_the_file_may_vanish_once_the_model_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_ldm(path, SPEC)
    model = load(path, None, FLOAT32)
    before = model.decode(torch.ones(4, 8, 8))
    path.write_bytes(b"")
    assert torch.equal(model.decode(torch.ones(4, 8, 8)), before)
