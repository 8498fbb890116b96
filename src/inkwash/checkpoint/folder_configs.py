"""The JSON files by which diffusers and transformers rebuild a Stable Diffusion 1.x model."""

from __future__ import annotations

import json

from inkwash.checkpoint.spec import ModelSpec, TextSpec, UNetSpec, VAESpec

_PREDICTIONS = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}


def configs(spec: ModelSpec) -> dict[str, str]:
    """Path below the folder -> text."""
    factor = 2 ** (len(spec.vae.channels) - 1)
    values = {
        "model_index.json": _index(spec),
        "unet/config.json": _unet(spec.unet, spec.native_size // factor),
        "vae/config.json": _vae(spec.vae, spec.native_size),
        "text_encoder/config.json": _text(spec.texts[0]),
        "scheduler/scheduler_config.json": _scheduler(spec),
    }
    return {path: json.dumps(value, indent=2) + "\n" for path, value in values.items()}


def _index(spec: ModelSpec) -> dict[str, object]:
    inpainting = spec.unet.in_channels == 9
    return {
        "_class_name": "StableDiffusionInpaintPipeline" if inpainting else "StableDiffusionPipeline",
        "_diffusers_version": "0.35.0",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def _unet(spec: UNetSpec, sample_size: int) -> dict[str, object]:
    depths = spec.depths
    return {
        "_class_name": "UNet2DConditionModel",
        "sample_size": sample_size,
        "in_channels": spec.in_channels,
        "out_channels": spec.out_channels,
        "layers_per_block": spec.layers,
        "block_out_channels": spec.channels,
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)],
        "transformer_layers_per_block": [depth or 1 for depth in depths],
        "cross_attention_dim": spec.context_width,
        "attention_head_dim": spec.heads,  # diffusers' name for the number of heads
        "use_linear_projection": spec.linear_projection,
    }


def _vae(spec: VAESpec, sample_size: int) -> dict[str, object]:
    levels = len(spec.channels)
    return {
        "_class_name": "AutoencoderKL",
        "sample_size": sample_size,
        "latent_channels": spec.latent_channels,
        "block_out_channels": spec.channels,
        "layers_per_block": spec.layers,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "scaling_factor": spec.scale_factor,
    }


def _text(spec: TextSpec) -> dict[str, object]:
    return {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": spec.vocabulary,
        "max_position_embeddings": spec.positions,
        "hidden_size": spec.width,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "intermediate_size": spec.mlp_width,
        "hidden_act": spec.activation,
        "projection_dim": spec.width,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }


def _scheduler(spec: ModelSpec) -> dict[str, object]:
    return {
        "_class_name": "DDIMScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "prediction_type": _PREDICTIONS[spec.prediction],
    }
