"""Writing models as diffusers pipelines: a folder a network, with the configs diffusers builds it from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkwash.checkpoint.families import FAMILIES, TextPlace
from inkwash.checkpoint.files import write
from inkwash.checkpoint.parameters import parameters
from inkwash.checkpoint.spec import ModelSpec, TextSpec
from inkwash.core import files
from inkwash.prompt.tokenizer import Tokenizer
from inkwash.prompt.tokenizer import load as load_tokenizer

if TYPE_CHECKING:
    import torch

VERSION = "0.30.0"  # of diffusers; the oldest whose configs say all of this


def save_diffusers(folder: str | Path, tensors: Mapping[str, torch.Tensor], spec: ModelSpec) -> None:
    """Writes a model as a diffusers pipeline, whole or not at all, into a folder that must not exist.

    tensors: by diffusers name as in ``save_ldm``, in their stored dtypes; exactly the weights of ``spec``, else
    ValueError.  Raises CannotWrite.
    """
    names = set(parameters(spec))
    if set(tensors) != names:
        different = sorted(set(tensors) ^ names)
        raise ValueError(f"{len(different)} tensors are missing or not of this model, such as {different[0]}")
    places = FAMILIES[spec.family].texts
    configs = {"unet": unet_config(spec), "vae": vae_config(spec)}
    configs |= {place.component: text_config(text) for place, text in zip(places, spec.texts, strict=True)}
    with files.new_folder(Path(folder)) as building:
        for component, config in configs.items():
            weights = "diffusion_pytorch_model" if component in ("unet", "vae") else "model"
            write(building / component / f"{weights}.safetensors", _Part(tensors, f"{component}."), {"format": "pt"})
            _write_json(building / component / "config.json", config)
        for place, text in zip(places, spec.texts, strict=True):
            _write_tokenizer(building / place.component.replace("text_encoder", "tokenizer"), text)
        _write_json(building / "scheduler" / "scheduler_config.json", scheduler_config(spec))
        _write_json(building / "model_index.json", index(spec))


def unet_config(spec: ModelSpec) -> dict[str, Any]:
    """diffusers' name for the number of attention heads is, for historical reasons, attention_head_dim."""
    unet = spec.unet
    config = {
        "_class_name": "UNet2DConditionModel",
        "sample_size": spec.native_size // 2 ** (len(spec.vae.channels) - 1),
        "in_channels": unet.in_channels,
        "out_channels": unet.out_channels,
        "block_out_channels": unet.channels,
        "layers_per_block": unet.layers,
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in unet.depths],
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(unet.depths)],
        "transformer_layers_per_block": [*(depth or 1 for depth in unet.depths[:-1]), unet.mid_depth],
        "cross_attention_dim": unet.context_width,
        "attention_head_dim": unet.heads,
        "use_linear_projection": unet.linear_projection,
    }
    if unet.added_width:
        config |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
        config |= {"projection_class_embeddings_input_dim": unet.added_width}
    return config


def vae_config(spec: ModelSpec) -> dict[str, Any]:
    """force_upcast: SDXL's autoencoder overflows float16."""
    levels = len(spec.vae.channels)
    return {
        "_class_name": "AutoencoderKL",
        "sample_size": spec.native_size,
        "block_out_channels": spec.vae.channels,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": spec.vae.layers,
        "latent_channels": spec.vae.latent_channels,
        "scaling_factor": spec.vae.scale_factor,
        "force_upcast": spec.family.startswith("sdxl"),
    }


def text_config(text: TextSpec) -> dict[str, Any]:
    """transformers' CLIPTextConfig."""
    return {
        "architectures": [_text_class(bool(text.projection))],
        "model_type": "clip_text_model",
        "vocab_size": text.vocabulary,
        "hidden_size": text.width,
        "intermediate_size": text.mlp_width,
        "num_hidden_layers": text.layers,
        "num_attention_heads": text.heads,
        "max_position_embeddings": text.positions,
        "hidden_act": text.activation,
        "projection_dim": text.projection or text.width,
        "layer_norm_eps": 1e-5,
        "bos_token_id": Tokenizer.BOS,
        "eos_token_id": Tokenizer.EOS,
        "pad_token_id": text.padding,
    }


def scheduler_config(spec: ModelSpec) -> dict[str, Any]:
    """The noise levels; the sampler beside them is only diffusers' default for the pipeline."""
    noise = spec.noise
    return {
        "_class_name": "DDIMScheduler",
        "num_train_timesteps": noise.steps,
        "beta_schedule": noise.kind,
        "beta_start": noise.start,
        "beta_end": noise.end,
        "rescale_betas_zero_snr": noise.zero_snr,
        "timestep_spacing": "trailing" if noise.zero_snr else "leading",
        "prediction_type": {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}[spec.prediction],
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }


def index(spec: ModelSpec) -> dict[str, Any]:
    """model_index.json: the pipeline's class and those of its parts."""
    parts: dict[str, Any] = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    for place in FAMILIES[spec.family].texts:
        parts |= _text_parts(place)
    nothing = [None, None]
    if spec.family.startswith("sdxl"):
        parts = {"text_encoder": nothing, "tokenizer": nothing} | parts
        parts["force_zeros_for_empty_prompt"] = spec.zero_empty
        if spec.family == "sdxl-refiner":
            parts["requires_aesthetics_score"] = True
    else:
        parts |= {"safety_checker": nothing, "feature_extractor": nothing, "requires_safety_checker": False}
    return {"_class_name": _pipeline_class(spec), "_diffusers_version": VERSION, **parts}


def _text_parts(place: TextPlace) -> dict[str, Any]:
    tokenizer = place.component.replace("text_encoder", "tokenizer")
    return {
        place.component: ["transformers", _text_class(place.projection)],
        tokenizer: ["transformers", "CLIPTokenizer"],
    }


def _text_class(projection: bool) -> str:
    return "CLIPTextModelWithProjection" if projection else "CLIPTextModel"


def _pipeline_class(spec: ModelSpec) -> str:
    name = "StableDiffusionXL" if spec.family.startswith("sdxl") else "StableDiffusion"
    task = {5: "Depth2Img", 9: "Inpaint"}.get(spec.unet.in_channels, "Img2Img" if spec.family == "sdxl-refiner" else "")
    return f"{name}{task}Pipeline"


def _write_tokenizer(folder: Path, text: TextSpec) -> None:
    files.make_folder(folder)
    load_tokenizer().save(folder)
    end = "<|endoftext|>"
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": text.positions,
        "do_lower_case": True,
        "bos_token": "<|startoftext|>",
        "eos_token": end,
        "unk_token": end,
        "pad_token": end if text.padding == Tokenizer.EOS else "!",  # token 0
    }
    _write_json(folder / "tokenizer_config.json", config)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    files.make_folder(path.parent)
    files.write(path, json.dumps(value, indent=2).encode())


class _Part(Mapping[str, "torch.Tensor"]):
    """The tensors of one network, without their prefix."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], prefix: str) -> None:
        self._tensors = tensors
        self._prefix = prefix

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._tensors[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(self._prefix) for name in self._tensors if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)
