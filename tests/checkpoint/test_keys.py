"""The key tables against diffusers' and transformers' own classes and diffusers' own single-file converter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.checkpoints import full_spec, random_weights, sd1_spec, write_diffusers, write_ldm

from inkwash.checkpoint import ModelSpec, check_keys, detect, ldm_to_diffusers, model_weights, parameters, read_header
from inkwash.checkpoint import open as open_source
from inkwash.checkpoint.keys import diffusers_to_ldm

SHAPES = {
    "one layer": sd1_spec(layers=1, vae_layers=1, vocabulary=100),
    "three levels, attention at the bottom": sd1_spec(
        (32, 64, 96), depths=(0, 1, 2), vae_channels=(32, 64), layers=3, vocabulary=100
    ),
    "nine channels": sd1_spec(in_channels=9, vocabulary=100),
}


def _flat(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _converted_by_diffusers(path: Path, folder: Path) -> dict[str, torch.Tensor]:
    """An LDM file translated by diffusers, which knows nothing of our tables."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from diffusers.loaders import single_file_utils
    from safetensors.torch import load_file

    reference: Any = single_file_utils
    checkpoint = load_file(path)
    unet: dict[str, Any] = dict(UNet2DConditionModel.load_config(folder / "unet"))
    vae: dict[str, Any] = dict(AutoencoderKL.load_config(folder / "vae"))
    text = reference.convert_ldm_clip_checkpoint(dict(checkpoint))
    return (
        _flat("unet", reference.convert_ldm_unet_checkpoint(dict(checkpoint), unet))
        | _flat("vae", reference.convert_ldm_vae_checkpoint(dict(checkpoint), vae))
        | {f"text_encoder.{name}": tensor for name, tensor in text.items() if not name.endswith("position_ids")}
    )


@pytest.mark.parametrize("spec", SHAPES.values(), ids=SHAPES)
def test_ldm_file_means_the_same_to_diffusers(spec: ModelSpec, tmp_path: Path) -> None:
    write_diffusers(tmp_path / "folder", spec)  # load_state_dict(strict=True): names and shapes are the classes' own
    write_ldm(tmp_path / "file.safetensors", spec)
    theirs = _converted_by_diffusers(tmp_path / "file.safetensors", tmp_path / "folder")
    with open_source(tmp_path / "file.safetensors") as source:
        ours = dict(model_weights(source, detect(tmp_path / "file.safetensors")))
    with open_source(tmp_path / "folder") as source:
        saved = dict(model_weights(source, detect(tmp_path / "folder")))
    assert ours.keys() == theirs.keys() == saved.keys() == random_weights(spec).keys()
    for name, tensor in ours.items():
        assert tensor.shape == saved[name].shape, name
        assert torch.equal(tensor, theirs[name].reshape(tensor.shape)), name
        assert torch.equal(tensor, saved[name]), name


def test_tables_are_one_to_one(tiny: ModelSpec) -> None:
    there = diffusers_to_ldm(tiny)
    assert len(set(there.values())) == len(there) == len(parameters(tiny))
    assert ldm_to_diffusers(tiny) == {ldm: name for name, ldm in there.items()}


def test_full_size_counts_are_those_of_stable_diffusion_1() -> None:
    """Parameter counts of the published networks (U-Net 860M, VAE 83.7M, CLIP ViT-L/14 text 123M), to the last one."""
    counts = {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}
    shapes = parameters(full_spec())
    for component, expected in counts.items():
        sizes = [torch.Size(shape).numel() for name, shape in shapes.items() if name.startswith(f"{component}.")]
        assert sum(sizes) == expected
    inpainting = parameters(full_spec(in_channels=9))["unet.conv_in.weight"]
    assert inpainting == (320, 9, 3, 3)


@pytest.mark.parametrize(
    ("ldm", "diffusers"),
    [  # names as they stand in the published v1-5-pruned.safetensors and in its diffusers twin
        ("model.diffusion_model.input_blocks.3.0.op.weight", "unet.down_blocks.0.downsamplers.0.conv.weight"),
        ("model.diffusion_model.output_blocks.2.1.conv.bias", "unet.up_blocks.0.upsamplers.0.conv.bias"),
        ("model.diffusion_model.output_blocks.5.2.conv.bias", "unet.up_blocks.1.upsamplers.0.conv.bias"),
        ("model.diffusion_model.middle_block.2.emb_layers.1.bias", "unet.mid_block.resnets.1.time_emb_proj.bias"),
        ("first_stage_model.decoder.up.3.upsample.conv.weight", "vae.decoder.up_blocks.0.upsamplers.0.conv.weight"),
        ("first_stage_model.encoder.mid.attn_1.proj_out.bias", "vae.encoder.mid_block.attentions.0.to_out.0.bias"),
        (
            "cond_stage_model.transformer.text_model.encoder.layers.11.mlp.fc1.weight",
            "text_encoder.text_model.encoder.layers.11.mlp.fc1.weight",
        ),
    ],
)
def test_known_names(ldm: str, diffusers: str) -> None:
    assert ldm_to_diffusers(full_spec())[ldm] == diffusers


def test_every_key_of_a_file_is_accounted_for(ldm_file: Path) -> None:
    header = read_header(ldm_file)
    report = check_keys(detect(ldm_file), header)
    assert report.complete
    assert report.unexpected == ()
    assert set(report.found.values()) | set(report.ignored) == set(header.tensors)
    assert set(report.ignored) == {
        "alphas_cumprod",
        "betas",
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
        "sqrt_one_minus_alphas_cumprod",
    }
