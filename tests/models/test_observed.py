"""Observing changes nothing, and what is seen is diffusers' own attention on the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.checkpoints import sd1_spec, write_diffusers, write_ldm
from torch import Tensor
from torch.nn import functional as F

from inkwash.models.load import load
from inkwash.models.observed import Sight, observed
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.runtime.device import choose

SPEC = sd1_spec((32, 64), depths=(1, 1))
HEIGHT, WIDTH, CHUNKS = 6, 10, 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_ldm(path, SPEC)
    return load(path, None, choose("cpu", "float32"))


def inputs(rows: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(rows, 4, HEIGHT, WIDTH, generator=generator)
    return x, torch.randn(rows, 77 * CHUNKS, SPEC.unet.context_width, generator=generator)


def test_the_answer_is_the_same_bits_and_the_model_unchanged(model: StableDiffusion) -> None:
    x, context = inputs()
    before = model.denoise(x, [2.0, 2.0], context, None)
    sight = Sight(HEIGHT, WIDTH, 77 * CHUNKS)
    assert torch.equal(observed(model, sight).denoise(x, [2.0, 2.0], context, None), before)
    assert sight.take() is not None
    assert torch.equal(model.denoise(x, [2.0, 2.0], context, None), before)
    assert sight.take() is None  # the model itself tells nobody


def test_every_place_divides_its_attention_among_the_tokens(model: StableDiffusion) -> None:
    x, context = inputs()
    sight = Sight(HEIGHT, WIDTH, 77 * CHUNKS)
    observed(model, sight).denoise(x, [2.0, 2.0], context, None)
    seen = sight.take()
    assert seen is not None
    assert seen.shape == (77 * CHUNKS, HEIGHT, WIDTH)
    torch.testing.assert_close(seen.sum(0), torch.ones(HEIGHT, WIDTH), atol=1e-4, rtol=0)


def test_a_repeated_context_counts_once(model: StableDiffusion) -> None:
    """A shorter prompt beside a longer one is repeated; its tokens' shares add up to the same maps."""
    x, context = inputs()
    maps = []
    for repeats in (1, 3):
        sight = Sight(HEIGHT, WIDTH, 77 * CHUNKS)
        observed(model, sight).denoise(x, [2.0, 2.0], context.repeat(1, repeats, 1), None)
        seen = sight.take()
        assert seen is not None
        maps.append(seen)
    torch.testing.assert_close(maps[0], maps[1], atol=1e-5, rtol=0)


def test_what_is_seen_is_diffusers_attention(model: StableDiffusion, tmp_path: Path) -> None:
    """Mean over heads and layers of the first row's probabilities, each enlarged to the latents; float32 rounding."""
    import diffusers

    write_diffusers(tmp_path / "pipeline", SPEC)
    library: Any = diffusers
    unet = library.UNet2DConditionModel.from_pretrained(tmp_path / "pipeline" / "unet").eval()
    seen: list[Tensor] = []

    class Telling:
        """diffusers' plain attention processor, which hands out its probabilities."""

        def __call__(self, attn: Any, hidden: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any) -> Tensor:
            context = hidden if encoder_hidden_states is None else encoder_hidden_states
            q, k, v = (
                attn.head_to_batch_dim(layer(of))
                for layer, of in ((attn.to_q, hidden), (attn.to_k, context), (attn.to_v, context))
            )
            weights = attn.get_attention_scores(q, k, None)
            if encoder_hidden_states is not None:
                seen.append(weights.unflatten(0, (-1, attn.heads))[0].mean(0))
            return attn.to_out[0](attn.batch_to_head_dim(torch.bmm(weights, v)))  # type: ignore[no-any-return]

    unet.set_attn_processor(Telling())
    x, context = inputs()
    sigma = 2.0
    sight = Sight(HEIGHT, WIDTH, 77 * CHUNKS)
    observed(model, sight).denoise(x, [sigma, sigma], context, None)
    with torch.no_grad():
        unet(x / (1 + sigma**2) ** 0.5, model.noise_schedule.t(sigma), context)
    sizes = {HEIGHT * WIDTH: (HEIGHT, WIDTH), HEIGHT * WIDTH // 4: (HEIGHT // 2, WIDTH // 2)}
    maps = [weights.T.unflatten(1, sizes[weights.shape[0]])[None] for weights in seen]
    large = [F.interpolate(one, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)[0] for one in maps]
    ours = sight.take()
    assert ours is not None
    torch.testing.assert_close(ours, torch.stack(large).mean(0), atol=1e-5, rtol=1e-3)
