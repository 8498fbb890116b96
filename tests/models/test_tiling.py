"""Seamless textures: shifting the latents around the edge shifts the picture around the edge, and nothing else."""

from __future__ import annotations

import pytest
import torch
from tests.support.checkpoints import sd1_spec, write_ldm

from inkwash.models.load import load
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.tiling import tiling
from inkwash.runtime.device import choose


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_ldm(path, sd1_spec((32, 64), depths=(1, 0)))
    return load(path, None, choose("cpu", request.param))


def test_a_shift_around_the_edge_shifts_the_answer(model: StableDiffusion) -> None:
    """Equivariance under cyclic shifts by whole cells of the coarsest level; tolerance: rounding of the dtype."""
    tolerance = 1e-4 if model.dtype == torch.float32 else 0.1
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 64)
    shift = {"shifts": (2, 4), "dims": (2, 3)}
    for kind, equivariant in ((tiling(model), True), (model, False)):
        plain = kind.denoise(x, [2.0], context, None)
        moved = kind.denoise(x.roll(**shift), [2.0], context, None)  # type: ignore[arg-type]
        difference = (moved - plain.roll(**shift)).norm() / plain.norm()  # type: ignore[arg-type]
        assert bool(difference < tolerance) is equivariant


def test_the_decoder_wraps_too(model: StableDiffusion) -> None:
    latents = torch.randn(4, 8, 8)
    plain, moved = (tiling(model).decode(z) for z in (latents, latents.roll(3, dims=2)))
    assert (moved - plain.roll(24, dims=2)).abs().mean() < 0.02


def test_the_model_itself_is_unchanged(model: StableDiffusion) -> None:
    latents = torch.randn(4, 8, 8)
    before = model.decode(latents)
    tiling(model).decode(latents)
    assert torch.equal(model.decode(latents), before)
