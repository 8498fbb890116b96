"""The key tables against diffusers' and transformers' own classes and diffusers' own single-file converter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.checkpoints import (
    full_sd2_spec,
    full_sdxl_spec,
    full_spec,
    full_x4_spec,
    random_weights,
    sd1_spec,
    sd2_spec,
    sdxl_spec,
    text_reference,
    write_diffusers,
    write_ldm,
    x4_spec,
)

from inkwash.checkpoint import (
    FAMILIES,
    ModelSpec,
    check_keys,
    detect,
    ldm_to_diffusers,
    model_weights,
    parameters,
    read_header,
)
from inkwash.checkpoint import open as open_source
from inkwash.checkpoint.keys import diffusers_to_ldm

SHAPES = {
    "one layer": sd1_spec(layers=1, vae_layers=1, vocabulary=100),
    "three levels, attention at the bottom": sd1_spec(
        (32, 64, 96), depths=(0, 1, 2), vae_channels=(32, 64), layers=3, vocabulary=100
    ),
    "nine channels": sd1_spec(in_channels=9, vocabulary=100),
    "SD2": sd2_spec(vocabulary=100),
    "SD2 with depth": sd2_spec(in_channels=5, prediction="eps", vocabulary=100),
    "SDXL": sdxl_spec(vocabulary=100),
    "SDXL inpainting, other sizes": sdxl_spec(
        (64, 128), (1, 3), in_channels=9, widths=(128, 192), text_layers=(3, 1), vocabulary=100
    ),
    "x4 upscaler": x4_spec(vocabulary=100),
    "SDXL refiner": sdxl_spec((64, 128, 128, 64), (0, 2, 2, 0), refiner=True, vocabulary=100),
}


def _flat(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _converted_by_diffusers(path: Path, folder: Path, spec: ModelSpec) -> dict[str, torch.Tensor]:
    """An LDM file translated by diffusers, which knows nothing of our tables."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from diffusers.loaders import single_file_utils
    from safetensors.torch import load_file

    reference: Any = single_file_utils
    checkpoint = load_file(path)
    unet: dict[str, Any] = dict(UNet2DConditionModel.load_config(folder / "unet"))
    vae: dict[str, Any] = dict(AutoencoderKL.load_config(folder / "vae"))
    converted = _flat("unet", reference.convert_ldm_unet_checkpoint(dict(checkpoint), unet))
    converted |= _flat("vae", reference.convert_ldm_vae_checkpoint(dict(checkpoint), vae))
    for place, text in zip(FAMILIES[spec.family].texts, spec.texts, strict=True):
        if place.openclip:
            network = text_reference(text)
            names = reference.convert_open_clip_checkpoint(network, dict(checkpoint), prefix=place.prefix)
        else:
            names = reference.convert_ldm_clip_checkpoint(dict(checkpoint))
        extras = ("position_ids", f"layers.{text.layers}.") + (() if text.projection else ("text_projection",))
        used = {name: tensor for name, tensor in names.items() if not any(extra in name for extra in extras)}
        converted |= _flat(place.component, used)
    return converted


@pytest.mark.parametrize("spec", SHAPES.values(), ids=SHAPES)
def test_ldm_file_means_the_same_to_diffusers(spec: ModelSpec, tmp_path: Path) -> None:
    write_diffusers(tmp_path / "folder", spec)  # load_state_dict(strict=True): names and shapes are the classes' own
    write_ldm(tmp_path / "file.safetensors", spec)
    theirs = _converted_by_diffusers(tmp_path / "file.safetensors", tmp_path / "folder", spec)
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
    assert ldm_to_diffusers(tiny) == {ldm: (name,) for name, ldm in there.items()}


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        (full_spec(), {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}),
        (full_x4_spec(), {"unet": 473_398_020, "vae": 55_325_927, "text_encoder": 340_387_840}),
        (full_sd2_spec(), {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840}),
        (
            full_sdxl_spec(),
            {
                "unet": 2_567_463_684,
                "vae": 83_653_863,
                "text_encoder": 123_060_480,
                "text_encoder_2": 694_659_840,
            },
        ),
    ],
    ids=["SD 1.5", "x4 upscaler", "SD 2.1", "SDXL base"],
)
def test_full_size_counts_are_those_of_the_published_networks(spec: ModelSpec, counts: dict[str, int]) -> None:
    """Parameter counts to the last one; of SD 2.1's text encoder the 23 layers that are used."""
    shapes = parameters(spec)
    for component, expected in counts.items():
        sizes = [torch.Size(shape).numel() for name, shape in shapes.items() if name.startswith(f"{component}.")]
        assert sum(sizes) == expected


def test_inpainting_has_nine_channels() -> None:
    inpainting = parameters(full_spec(in_channels=9))["unet.conv_in.weight"]
    assert inpainting == (320, 9, 3, 3)


@pytest.mark.parametrize(
    ("ldm", "diffusers"),
    [  # names as they stand in the published sd_xl_base_1.0.safetensors and in its diffusers twin
        ("model.diffusion_model.label_emb.0.2.bias", ("unet.add_embedding.linear_2.bias",)),
        (
            "model.diffusion_model.input_blocks.8.1.transformer_blocks.9.attn2.to_k.weight",
            ("unet.down_blocks.2.attentions.1.transformer_blocks.9.attn2.to_k.weight",),
        ),
        (
            "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight",
            ("text_encoder.text_model.final_layer_norm.weight",),
        ),
        (
            "conditioner.embedders.1.model.transformer.resblocks.31.attn.in_proj_weight",
            tuple(f"text_encoder_2.text_model.encoder.layers.31.self_attn.{part}_proj.weight" for part in "qkv"),
        ),
        (
            "conditioner.embedders.1.model.positional_embedding",
            ("text_encoder_2.text_model.embeddings.position_embedding.weight",),
        ),
        ("conditioner.embedders.1.model.text_projection", ("text_encoder_2.text_projection.weight",)),
    ],
)
def test_known_names_of_xl(ldm: str, diffusers: tuple[str, ...]) -> None:
    assert ldm_to_diffusers(full_sdxl_spec())[ldm] == diffusers


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
    assert ldm_to_diffusers(full_spec())[ldm] == (diffusers,)


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
