"""Our networks against diffusers' and transformers' on the same random weights: same names, same outputs.

Tolerance: float32 rounding through some fifty layers, relative L2 below 1e-4 (usually near 1e-6).
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from inkwash.checkpoint.spec import TextSpec, UNetSpec, VAESpec
from inkwash.models.text import TextEncoder
from inkwash.models.unet import UNet
from inkwash.models.vae import VAE

TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def _same_inputs_every_time() -> None:
    torch.manual_seed(0)


def distance(left: Tensor, right: Tensor) -> float:
    """Relative L2."""
    return float((left - right).norm() / right.norm())


def shake(network: nn.Module, seed: int = 0) -> None:
    """Random weights everywhere, so that no zero or one hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = noise / max(parameter[0].numel(), 1) ** 0.5 if parameter.ndim > 1 else 1 + 0.1 * noise


UNETS = {
    "SD1 structure": UNetSpec(4, 4, (32, 64, 64, 64), 2, (1, 1, 1, 0), 1, 48, (8, 8, 8, 8), 8, False),
    "inpainting": UNetSpec(9, 4, (32, 64), 1, (1, 1), 1, 32, (8, 8), 8, False),
    "three levels, linear projections, deeper attention": UNetSpec(
        4, 4, (32, 64, 96), 1, (0, 1, 2), 2, 40, (2, 4, 6), 6, True
    ),
    "x4 upscaler": UNetSpec(
        7, 4, (32, 64, 96), 1, (0, 1, 1), 1, 40, (8, 8, 8), 8, True, noise_labels=10, text_only=(False, True, False)
    ),
}


@pytest.mark.parametrize("spec", UNETS.values(), ids=UNETS.keys())
@pytest.mark.parametrize("size", [(16, 24), (20, 12)], ids=["even", "odd at depth"])
def test_unet_equals_diffusers(spec: UNetSpec, size: tuple[int, int]) -> None:
    from diffusers import UNet2DConditionModel

    reference = UNet2DConditionModel(
        in_channels=spec.in_channels,
        out_channels=spec.out_channels,
        block_out_channels=spec.channels,
        layers_per_block=spec.layers,
        down_block_types=tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in spec.depths),
        up_block_types=tuple("CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(spec.depths)),
        transformer_layers_per_block=(*(depth or 1 for depth in spec.depths[:-1]), spec.mid_depth),
        cross_attention_dim=spec.context_width,
        attention_head_dim=spec.heads,  # diffusers' historical name for the number of heads
        use_linear_projection=spec.linear_projection,
        num_class_embeds=spec.noise_labels or None,
        only_cross_attention=list(spec.text_only) or False,
    ).eval()
    shake(reference)
    ours = UNet(spec).eval()
    ours.load_state_dict(reference.state_dict())
    x, context = torch.randn(3, spec.in_channels, *size), torch.randn(3, 154, spec.context_width)
    t = torch.tensor([0.0, 500.25, 999.0])
    levels = torch.tensor([0, 9, 3]) if spec.noise_labels else None
    with torch.no_grad():
        expected = reference(x, t, context, class_labels=levels).sample
        assert distance(ours(x, t, context, noise_levels=levels), expected) < TOLERANCE


@pytest.mark.parametrize("layers", [1, 2])
def test_vae_equals_diffusers(layers: int) -> None:
    from diffusers import AutoencoderKL

    spec = VAESpec(4, (32, 32, 64, 96), layers, 0.18215)
    reference = AutoencoderKL(
        block_out_channels=spec.channels,
        layers_per_block=layers,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    ).eval()
    shake(reference)
    ours = VAE(spec).eval()
    ours.load_state_dict(reference.state_dict())
    picture = torch.rand(2, 3, 64, 48) * 2 - 1
    with torch.no_grad():
        expected = reference.encode(picture).latent_dist
        mean, log_variance = ours.encode(picture)
        assert distance(mean, expected.mean) < TOLERANCE
        assert distance(log_variance, expected.logvar) < TOLERANCE
        assert distance(ours.decode(mean), reference.decode(mean).sample) < TOLERANCE


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_text_encoder_equals_transformers(activation: str, clip_skip: int) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    spec = TextSpec(1000, 77, 128, 3, 2, 256, activation)  # type: ignore[arg-type]
    config = CLIPTextConfig(
        vocab_size=1000,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=2,
        hidden_act=activation,
        bos_token_id=998,
        eos_token_id=999,
    )
    reference = CLIPTextModel(config).eval()
    shake(reference)
    weights = {name.removeprefix("text_model."): tensor for name, tensor in reference.state_dict().items()}
    weights.pop("embeddings.position_ids", None)
    ours = TextEncoder(spec).eval()
    ours.load_state_dict({f"text_model.{name}": tensor for name, tensor in weights.items()})
    ids = torch.randint(0, 1000, (2, 77))
    with torch.no_grad():
        hidden = reference(ids, output_hidden_states=True).hidden_states[-clip_skip]
        norm = getattr(reference, "text_model", reference).final_layer_norm
        assert distance(ours(ids, clip_skip), norm(hidden)) < TOLERANCE
