"""Checkpoints of the real structure with random weights, of any size, as LDM files and as diffusers folders."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from inkwash.checkpoint.families import FAMILIES
from inkwash.checkpoint.files import write
from inkwash.checkpoint.keys import LDM_UNET, ldm_shape, ldm_to_diffusers
from inkwash.checkpoint.openclip import join
from inkwash.checkpoint.parameters import parameters
from inkwash.checkpoint.spec import LowResSpec, ModelSpec, NoiseSpec, TextSpec, UNetSpec, VAESpec

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
        texts=(TextSpec(vocabulary, 77, width, text_layers, max(1, width // 64), 4 * width, "quick_gelu"),),
        vae=VAESpec(4, vae_channels, vae_layers, 0.18215),
        dtype=str(dtype).removeprefix("torch."),
        has_ema=False,
        native_size=512,
        name="random",
    )


def sd2_spec(
    channels: tuple[int, ...] = (64, 128, 128, 128),
    *,
    in_channels: int = 4,
    vae_channels: tuple[int, ...] = (32, 32, 64, 64),
    width: int = 64,
    text_layers: int = 2,
    vocabulary: int = 49408,
    prediction: Literal["eps", "v"] = "v",
    dtype: torch.dtype = torch.float32,
) -> ModelSpec:
    """A Stable Diffusion 2.x structure; tiny unless told otherwise.  text_layers: those that are used."""
    spec = sd1_spec(channels, in_channels=in_channels, vae_channels=vae_channels, prediction=prediction, dtype=dtype)
    heads = tuple(width // 64 for width in channels)
    return replace(
        spec,
        family="sd2",
        unet=replace(spec.unet, context_width=width, heads=heads, mid_heads=heads[-1], linear_projection=True),
        texts=(TextSpec(vocabulary, 77, width, text_layers, max(1, width // 64), 4 * width, "gelu", padding=0),),
        native_size=768 if prediction == "v" else 512,
    )


def full_sd2_spec(dtype: torch.dtype = torch.float32) -> ModelSpec:
    """Stable Diffusion 2.1's own sizes: about 1.29 billion parameters."""
    return sd2_spec(FULL_CHANNELS, vae_channels=FULL_VAE_CHANNELS, width=1024, text_layers=23, dtype=dtype)


def sdxl_spec(
    channels: tuple[int, ...] = (64, 64, 128),
    depths: tuple[int, ...] = (0, 1, 2),
    *,
    refiner: bool = False,
    in_channels: int = 4,
    vae_channels: tuple[int, ...] = (32, 32, 64, 64),
    widths: tuple[int, int] = (64, 128),
    text_layers: tuple[int, int] = (2, 3),
    vocabulary: int = 49408,
    prediction: Literal["eps", "v"] = "eps",
    dtype: torch.dtype = torch.float32,
) -> ModelSpec:
    """A Stable Diffusion XL structure; tiny unless told otherwise.  widths, text_layers: of the text encoders."""
    spec = sd1_spec(channels, in_channels=in_channels, vae_channels=vae_channels, prediction=prediction, dtype=dtype)
    heads = tuple(width // 64 for width in channels)
    (small, big), (few, many) = widths, text_layers
    first = TextSpec(vocabulary, 77, small, few, max(1, small // 64), 4 * small, "quick_gelu", penultimate=True)
    second = TextSpec(
        vocabulary, 77, big, many, max(1, big // 64), 4 * big, "gelu", padding=0, penultimate=True, projection=big
    )
    unet = replace(
        spec.unet,
        depths=depths,
        mid_depth=max(depths),
        context_width=big if refiner else small + big,
        heads=heads,
        mid_heads=heads[-1],
        linear_projection=True,
        added_width=big + 256 * (5 if refiner else 6),
    )
    return replace(
        spec,
        family="sdxl-refiner" if refiner else "sdxl",
        unet=unet,
        texts=(second,) if refiner else (first, second),
        vae=replace(spec.vae, scale_factor=0.13025),
        native_size=1024,
        zero_empty=True,
    )


def full_sdxl_spec(dtype: torch.dtype = torch.float16) -> ModelSpec:
    """SDXL base's own sizes: about 3.47 billion parameters."""
    return sdxl_spec(
        (320, 640, 1280),
        (0, 2, 10),
        vae_channels=FULL_VAE_CHANNELS,
        widths=(768, 1280),
        text_layers=(12, 32),
        dtype=dtype,
    )


def x4_spec(
    channels: tuple[int, ...] = (32, 64, 96, 128),
    *,
    vae_channels: tuple[int, ...] = (32, 32, 64),
    width: int = 128,
    text_layers: int = 2,
    vocabulary: int = 49408,
    heads: int = 8,
    dtype: torch.dtype = torch.float32,
) -> ModelSpec:
    """The structure of Stability's x4 upscaler; tiny unless told otherwise.

    As in the real one, its lowest level is as wide as the text.
    """
    spec = sd2_spec(channels, in_channels=7, vae_channels=vae_channels, width=width, text_layers=text_layers,
                    vocabulary=vocabulary, dtype=dtype)  # fmt: skip
    unet = replace(
        spec.unet,
        depths=(0, 1, 1, 1),
        heads=(heads,) * len(channels),
        mid_heads=heads,
        noise_labels=1000,
        text_only=(False, True, True, False),
    )
    return replace(
        spec,
        family="x4",
        unet=unet,
        vae=replace(spec.vae, scale_factor=0.08333),
        native_size=512,
        noise=NoiseSpec(start=0.0001, end=0.02),
        low_res=LowResSpec(),
    )


def full_x4_spec(dtype: torch.dtype = torch.float32) -> ModelSpec:
    """The x4 upscaler's own sizes: about 0.87 billion parameters."""
    return x4_spec((256, 512, 512, 1024), vae_channels=(128, 256, 512), width=1024, text_layers=23, dtype=dtype)


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
    for ldm, names in ldm_to_diffusers(spec).items():
        makers[ldm] = _joined(ldm, [weights.makers[name] for name in names])
    if ema:
        unet = {key: maker for key, maker in makers.items() if key.startswith(LDM_UNET)}
        makers |= {"model_ema." + key.removeprefix("model.").replace(".", ""): maker for key, maker in unet.items()}
    makers |= {name: _constant(value) for name, value in _extras(spec).items()}
    write(path, Computed(makers), metadata)
    stated = "modelspec.prediction_type" in (metadata or {})
    notes = () if stated else (_ASSUMED[spec.family],)
    unsure = not stated and spec.family == "sd2" and spec.unet.in_channels == 4
    return replace(spec, path=path, name=path.stem, has_ema=ema, notes=notes, unsure=unsure)


_ASSUMED = {
    "sd1": "no prediction type is stated; eps was assumed, as in nearly all SD 1.x models",
    "sd2": "no prediction type is stated; v was assumed, as in the SD 2.x models for 768 pixels; those for 512 look "
    "the same and predict eps",
    "sdxl": "no prediction type is stated; eps was assumed, as in nearly all SDXL models",
    "sdxl-refiner": "no prediction type is stated; eps was assumed, as in nearly all SDXL models",
    "x4": "no prediction type is stated; v was assumed, as in Stability's x4 upscaler",
}


def write_diffusers(folder: Path, spec: ModelSpec, *, seed: int = 0, variant: str | None = None) -> None:
    """Writes the model as diffusers' and transformers' own classes save it, with the weights of ``random_weights``."""
    weights = random_weights(spec, seed)
    for component, network in _references(spec).items():
        names = {name for name in weights if name.startswith(f"{component}.")}
        state = {name.removeprefix(f"{component}."): weights[name] for name in names}
        if component.startswith("text_encoder") and "embeddings.token_embedding.weight" in network.state_dict():
            state = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}  # transformers 5
        network.load_state_dict(state, strict=True)
        network.to(getattr(torch, spec.dtype)).save_pretrained(folder / component, variant=variant)
    prediction = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}[spec.prediction]
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": prediction}))
    if spec.low_res:
        (folder / "low_res_scheduler").mkdir()
        low_res = {"beta_schedule": "scaled_linear", "beta_start": 0.0001, "beta_end": 0.02}
        (folder / "low_res_scheduler" / "scheduler_config.json").write_text(json.dumps(low_res))
    pipeline = "StableDiffusionXLPipeline" if spec.family.startswith("sdxl") else "StableDiffusionPipeline"
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))


def _maker(name: str, shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Callable[[], torch.Tensor]:
    def make() -> torch.Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) ^ seed)
        noise = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            return (noise.mul_(0.02) + (1.0 if name.endswith("weight") else 0.0)).to(dtype)
        fan_in = 2500 if name.endswith(("token_embedding.weight", "position_embedding.weight")) else noise[0].numel()
        return noise.mul_(fan_in**-0.5).to(dtype)

    return make


def _joined(ldm: str, makers: list[Callable[[], torch.Tensor]]) -> Callable[[], torch.Tensor]:
    """What an LDM file holds under one name, in its shape there."""

    def make() -> torch.Tensor:
        held = [maker() for maker in makers]
        return join(ldm, held).reshape(ldm_shape(ldm, tuple(held[0].shape)))

    return make


def _constant(value: torch.Tensor) -> Callable[[], torch.Tensor]:
    return lambda: value


def _extras(spec: ModelSpec) -> dict[str, torch.Tensor]:
    """What real files carry beside the weights; in SD2's the last layer of the text encoder, which nothing reads."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0).float()
    extras = {"betas": betas.float(), "alphas_cumprod": alphas, "sqrt_one_minus_alphas_cumprod": (1 - alphas).sqrt()}
    places = zip(FAMILIES[spec.family].texts, spec.texts, strict=True)
    for place, text in places:
        if not place.openclip:
            name = f"{place.prefix}text_model.embeddings.position_ids"
            extras[name] = torch.arange(text.positions)[None]
        else:
            extras[f"{place.prefix}logit_scale"] = torch.ones(())
        if FAMILIES[spec.family].unused_layer:
            extras[f"{place.prefix}text_projection"] = torch.ones(text.width, text.width)
            unused = f"{place.prefix}transformer.resblocks.{text.layers}."
            extras |= {f"{unused}attn.in_proj_weight": torch.ones(3 * text.width, text.width)}
            extras |= {f"{unused}ln_1.bias": torch.ones(text.width)}
    if spec.low_res:
        extras |= {"low_scale_model.betas": betas.float(), "low_scale_model.alphas_cumprod": alphas}
    return extras


def _references(spec: ModelSpec) -> dict[str, Any]:
    names = ["unet", "vae", *(place.component for place in FAMILIES[spec.family].texts)]
    return {name: reference_network(spec, name) for name in names}


def reference_network(spec: ModelSpec, component: str) -> Any:
    """diffusers' or transformers' own class for one network, with weights of its own."""
    import diffusers

    unet, vae = spec.unet, spec.vae
    levels = len(vae.channels)
    reference: Any = diffusers
    depths = [depth or 1 for depth in unet.depths]
    added = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": unet.added_width,
    }
    if component == "unet":
        return reference.UNet2DConditionModel(
            sample_size=spec.native_size // 2 ** (levels - 1),
            in_channels=unet.in_channels,
            out_channels=unet.out_channels,
            layers_per_block=unet.layers,
            block_out_channels=unet.channels,
            down_block_types=tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in unet.depths),
            up_block_types=tuple("CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in unet.depths[::-1]),
            transformer_layers_per_block=(*depths[:-1], unet.mid_depth),
            cross_attention_dim=unet.context_width,
            attention_head_dim=unet.heads,
            use_linear_projection=unet.linear_projection,
            **(added if unet.added_width else {}),
            **({"num_class_embeds": unet.noise_labels} if unet.noise_labels else {}),
            **({"only_cross_attention": list(unet.text_only)} if unet.text_only else {}),
        )
    if component == "vae":
        return reference.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=vae.channels,
            layers_per_block=vae.layers,
            latent_channels=vae.latent_channels,
            scaling_factor=vae.scale_factor,
        )
    texts = zip(FAMILIES[spec.family].texts, spec.texts, strict=True)
    return next(text_reference(text) for place, text in texts if place.component == component)


def text_reference(text: TextSpec) -> Any:
    """transformers' own class for a text encoder, with weights of its own."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=text.vocabulary,
        hidden_size=text.width,
        intermediate_size=text.mlp_width,
        num_hidden_layers=text.layers,
        num_attention_heads=text.heads,
        max_position_embeddings=text.positions,
        hidden_act=text.activation,
        projection_dim=text.projection or 512,
        pad_token_id=min(text.padding, text.vocabulary - 1),
        bos_token_id=min(49406, text.vocabulary - 2),
        eos_token_id=min(49407, text.vocabulary - 1),
    )
    return CLIPTextModelWithProjection(config) if text.projection else CLIPTextModel(config)
