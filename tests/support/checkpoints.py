"""Checkpoints of the real structure with random weights, of any size, as LDM files and as diffusers folders."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from inkwash.checkpoint.files import write
from inkwash.checkpoint.keys import LDM_UNET, diffusers_to_ldm, ldm_shape
from inkwash.checkpoint.parameters import parameters
from inkwash.checkpoint.spec import ModelSpec, TextSpec, UNetSpec, VAESpec

FULL_CHANNELS, FULL_VAE_CHANNELS = (320, 640, 1280, 1280), (128, 256, 512, 512)


def sd1_spec(
    channels: tuple[int, ...] = (32, 64, 64, 64),
    *,
    layers: int = 2,
    depths: tuple[int, ...] = (1, 1, 1, 0),
    in_channels: int = 4,
    heads: int = 8,
    vae_channels: tuple[int, ...] = (32, 32, 64, 64),
    vae_layers: int = 2,
    width: int = 64,
    text_layers: int = 2,
    vocabulary: int = 49408,
    prediction: Literal["eps", "v"] = "eps",
    dtype: torch.dtype = torch.float32,
) -> ModelSpec:
    """A Stable Diffusion 1.x structure; tiny unless told otherwise.  ``width``: of the text encoder."""
    unet = UNetSpec(
        in_channels=in_channels,
        out_channels=4,
        channels=channels,
        layers=layers,
        depths=depths,
        mid_depth=max(depths[-1], 1),
        context_width=width,
        heads=(heads,) * len(channels),
        mid_heads=heads,
        linear_projection=False,
    )
    return ModelSpec(
        path=Path("random"),
        family="sd1",
        layout="ldm",
        prediction=prediction,
        unet=unet,
        text=TextSpec(vocabulary, 77, width, text_layers, max(1, width // 64), 4 * width, "quick_gelu"),
        vae=VAESpec(4, vae_channels, vae_layers, 0.18215),
        dtype=str(dtype).removeprefix("torch."),
        has_ema=False,
        native_size=512,
        name="random",
    )


def full_spec(in_channels: int = 4, dtype: torch.dtype = torch.float32) -> ModelSpec:
    """Stable Diffusion 1.5's own sizes: about 1.07 billion parameters."""
    return sd1_spec(
        FULL_CHANNELS, in_channels=in_channels, vae_channels=FULL_VAE_CHANNELS, width=768, text_layers=12, dtype=dtype
    )


class Computed(Mapping[str, torch.Tensor]):
    """Tensors made when they are asked for, so that a full-size model never lies in memory."""

    def __init__(self, makers: Mapping[str, Callable[[], torch.Tensor]]) -> None:
        self.makers = makers

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.makers)

    def __len__(self) -> int:
        return len(self.makers)


def random_weights(spec: ModelSpec, seed: int = 0) -> Computed:
    """Weights by diffusers name.  Each tensor depends on its name and the seed only; activations stay of unit size."""
    dtype = getattr(torch, spec.dtype)
    return Computed({name: _maker(name, shape, dtype, seed) for name, shape in parameters(spec).items()})


def write_ldm(
    path: Path, spec: ModelSpec, *, seed: int = 0, ema: bool = False, metadata: Mapping[str, str] | None = None
) -> ModelSpec:
    """Writes the model as one LDM file with the extras that real files carry.  Returns what ``detect`` should find."""
    weights = random_weights(spec, seed)
    makers: dict[str, Callable[[], torch.Tensor]] = {}
    shapes = parameters(spec)
    for name, ldm in diffusers_to_ldm(spec).items():
        makers[ldm] = _reshaped(weights.makers[name], ldm_shape(ldm, shapes[name]))
    if ema:
        unet = {key: maker for key, maker in makers.items() if key.startswith(LDM_UNET)}
        makers |= {"model_ema." + key.removeprefix("model.").replace(".", ""): maker for key, maker in unet.items()}
    makers |= {name: _constant(value) for name, value in _extras(spec).items()}
    write(path, Computed(makers), metadata)
    assumed = "no prediction type is stated; eps was assumed, as in nearly all SD 1.x models"
    notes = () if "modelspec.prediction_type" in (metadata or {}) else (assumed,)
    return replace(spec, path=path, name=path.stem, has_ema=ema, notes=notes)


def write_diffusers(folder: Path, spec: ModelSpec, *, seed: int = 0, variant: str | None = None) -> None:
    """Writes the model as diffusers' and transformers' own classes save it, with the weights of ``random_weights``."""
    weights = random_weights(spec, seed)
    for component, network in _references(spec).items():
        names = {name for name in weights if name.startswith(f"{component}.")}
        state = {name.removeprefix(f"{component}."): weights[name] for name in names}
        if component == "text_encoder" and "embeddings.token_embedding.weight" in network.state_dict():
            state = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}  # transformers 5
        network.load_state_dict(state, strict=True)
        network.to(getattr(torch, spec.dtype)).save_pretrained(folder / component, variant=variant)
    prediction = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}[spec.prediction]
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": prediction}))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))


def _maker(name: str, shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Callable[[], torch.Tensor]:
    def make() -> torch.Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) ^ seed)
        noise = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            return (noise.mul_(0.02) + (1.0 if name.endswith("weight") else 0.0)).to(dtype)
        fan_in = 2500 if name.endswith(("token_embedding.weight", "position_embedding.weight")) else noise[0].numel()
        return noise.mul_(fan_in**-0.5).to(dtype)

    return make


def _reshaped(maker: Callable[[], torch.Tensor], shape: tuple[int, ...]) -> Callable[[], torch.Tensor]:
    return lambda: maker().reshape(shape)


def _constant(value: torch.Tensor) -> Callable[[], torch.Tensor]:
    return lambda: value


def _extras(spec: ModelSpec) -> dict[str, torch.Tensor]:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0).float()
    return {
        "betas": betas.float(),
        "alphas_cumprod": alphas,
        "sqrt_one_minus_alphas_cumprod": (1 - alphas).sqrt(),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(spec.text.positions)[None],
    }


def _references(spec: ModelSpec) -> dict[str, Any]:
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel

    unet, vae, text = spec.unet, spec.vae, spec.text
    levels = len(vae.channels)
    reference: Any = diffusers
    return {
        "unet": reference.UNet2DConditionModel(
            sample_size=spec.native_size // 2 ** (levels - 1),
            in_channels=unet.in_channels,
            out_channels=unet.out_channels,
            layers_per_block=unet.layers,
            block_out_channels=unet.channels,
            down_block_types=tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in unet.depths),
            up_block_types=tuple("CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in unet.depths[::-1]),
            transformer_layers_per_block=tuple(depth or 1 for depth in unet.depths),
            cross_attention_dim=unet.context_width,
            attention_head_dim=unet.heads,
            use_linear_projection=unet.linear_projection,
        ),
        "vae": reference.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=vae.channels,
            layers_per_block=vae.layers,
            latent_channels=vae.latent_channels,
            scaling_factor=vae.scale_factor,
        ),
        "text_encoder": CLIPTextModel(
            CLIPTextConfig(
                vocab_size=text.vocabulary,
                hidden_size=text.width,
                intermediate_size=text.mlp_width,
                num_hidden_layers=text.layers,
                num_attention_heads=text.heads,
                max_position_embeddings=text.positions,
                hidden_act=text.activation,
            )
        ),
    }
