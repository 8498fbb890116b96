"""The JSON files by which diffusers and transformers rebuild a model."""

from __future__ import annotations

from typing import Any

from inkwash.checkpoint.families import FAMILIES, TextPlace
from inkwash.checkpoint.spec import LowResSpec, ModelSpec, NoiseSpec, TextSpec
from inkwash.prompt.tokenizer import Tokenizer

VERSION = "0.30.0"  # of diffusers; the oldest whose configs say all of this
Config = dict[str, Any]


def configs(spec: ModelSpec) -> dict[str, Config]:
    """Path below the folder -> content."""
    made = {
        "model_index.json": index(spec),
        "unet/config.json": unet_config(spec),
        "vae/config.json": vae_config(spec),
        "scheduler/scheduler_config.json": scheduler_config(spec),
    }
    if spec.low_res:
        made["low_res_scheduler/scheduler_config.json"] = low_res_config(spec.low_res)
    for place, text in zip(FAMILIES[spec.family].texts, spec.texts, strict=True):
        made[f"{place.component}/config.json"] = text_config(text)
        made[f"{tokenizer_of(place)}/tokenizer_config.json"] = tokenizer_config(text)
    return made


def tokenizer_of(place: TextPlace) -> str:
    """The folder of a text encoder's tokenizer."""
    return place.component.replace("text_encoder", "tokenizer")


def unet_config(spec: ModelSpec) -> Config:
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
    if unet.noise_labels:
        config["num_class_embeds"] = unet.noise_labels
    if unet.text_only:
        config["only_cross_attention"] = unet.text_only
    if unet.added_width:
        config |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
        config |= {"projection_class_embeddings_input_dim": unet.added_width}
    return config


def vae_config(spec: ModelSpec) -> Config:
    """force_upcast: SDXL's autoencoder and the x4 upscaler's overflow float16."""
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
        "force_upcast": spec.family in ("sdxl", "sdxl-refiner", "x4"),
    }


def text_config(text: TextSpec) -> Config:
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


def tokenizer_config(text: TextSpec) -> Config:
    """transformers' CLIPTokenizer, whose vocabulary stands in files of its own."""
    end = "<|endoftext|>"
    return {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": text.positions,
        "do_lower_case": True,
        "bos_token": "<|startoftext|>",
        "eos_token": end,
        "unk_token": end,
        "pad_token": end if text.padding == Tokenizer.EOS else "!",  # token 0
    }


def scheduler_config(spec: ModelSpec) -> Config:
    """The noise levels; the sampler beside them is only diffusers' default for the pipeline."""
    return {
        "_class_name": "DDIMScheduler",
        **_levels(spec.noise),
        "timestep_spacing": "trailing" if spec.noise.zero_snr else "leading",
        "prediction_type": {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}[spec.prediction],
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }


def low_res_config(low_res: LowResSpec) -> Config:
    """The scheduler that noises the small picture."""
    return {"_class_name": "DDPMScheduler", **_levels(low_res.noise), "prediction_type": "epsilon"}


def _levels(noise: NoiseSpec) -> Config:
    return {
        "num_train_timesteps": noise.steps,
        "beta_schedule": noise.kind,
        "beta_start": noise.start,
        "beta_end": noise.end,
        "rescale_betas_zero_snr": noise.zero_snr,
    }


def index(spec: ModelSpec) -> Config:
    """model_index.json: the pipeline's class and those of its parts."""
    parts: Config = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    for place in FAMILIES[spec.family].texts:
        parts |= _text_parts(place)
    nothing = [None, None]
    if spec.family.startswith("sdxl"):
        parts = Config(text_encoder=nothing, tokenizer=nothing) | parts  # the refiner has no first one
        parts["force_zeros_for_empty_prompt"] = spec.zero_empty
        if spec.family == "sdxl-refiner":
            parts["requires_aesthetics_score"] = True
    elif spec.low_res:
        parts |= {"low_res_scheduler": ["diffusers", "DDPMScheduler"], "max_noise_level": spec.low_res.highest_level}
        parts |= {"safety_checker": nothing, "feature_extractor": nothing, "watermarker": nothing}
    else:
        parts |= {"safety_checker": nothing, "feature_extractor": nothing, "requires_safety_checker": False}
    return {"_class_name": _pipeline_class(spec), "_diffusers_version": VERSION, **parts}


def _text_parts(place: TextPlace) -> Config:
    return {
        place.component: ["transformers", _text_class(place.projection)],
        tokenizer_of(place): ["transformers", "CLIPTokenizer"],
    }


def _text_class(projection: bool) -> str:
    return "CLIPTextModelWithProjection" if projection else "CLIPTextModel"


def _pipeline_class(spec: ModelSpec) -> str:
    name = "StableDiffusionXL" if spec.family.startswith("sdxl") else "StableDiffusion"
    usual = "Img2Img" if spec.family == "sdxl-refiner" else ""
    task = {5: "Depth2Img", 7: "Upscale", 9: "Inpaint"}.get(spec.unet.in_channels, usual)
    return f"{name}{task}Pipeline"
