"""The autoencoder in bands comes to what it comes to as a whole, whatever the bands and wherever the maps are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.support.checkpoints import sd1_spec, write_ldm

from inkwash.core.request import VaeTiles
from inkwash.models import tiled_vae
from inkwash.models.load import load
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.tiled_vae import automatic, smaller
from inkwash.models.tiling import tiling
from inkwash.runtime.device import choose
from inkwash.runtime.room import Room

CPU = torch.device("cpu")
EXACT = 1e-3
"""The bound in float32; found are 1e-5 to 4e-5 on pictures of -6 to 6."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_ldm(path, sd1_spec((32, 64), depths=(1, 0), vae_channels=(32, 32, 64), vae_layers=1))
    return path


@pytest.fixture(scope="module", params=["packed", "plain", "seamless"])
def model(request: pytest.FixtureRequest, path: Path) -> StableDiffusion:
    model = load(path, None, choose("cpu", "float32"), "train" if request.param == "plain" else "draw")
    return tiling(model) if request.param == "seamless" else model


@pytest.mark.parametrize(
    ("height", "width", "host"),
    [(8, 8, 10**9), (13, 11, 200_000), (3, 20, 0), (17, 4, 10**9)],
    ids=["memory", "memory-and-disk", "disk", "memory-odd"],
)
@torch.inference_mode()
def test_exact_tiles_are_exact(model: StableDiffusion, height: int, width: int, host: int, tmp_path: Path) -> None:
    """Bands of 1 to 11 rows, ending anywhere."""
    z = torch.randn(1, 4, height, width).to(memory_format=torch.channels_last)
    picture = torch.rand(1, 3, 4 * height, 4 * width) * 2 - 1
    tiles, room = VaeTiles(encoder_tile=21, decoder_tile=3), Room(CPU, torch.float32, host, folder=tmp_path)
    assert torch.allclose(tiled_vae.decode(model.vae, z, tiles, room), model.vae.decode(z), rtol=0, atol=EXACT)
    found, expected = tiled_vae.encode(model.vae, picture, tiles, room), model.vae.encode(picture)
    assert all(torch.allclose(a, b, rtol=0, atol=EXACT) for a, b in zip(found, expected, strict=True))
    assert (room.spilled > 0) is (host < 10**9)


def test_bands_in_bfloat16_are_as_near_to_float32_as_the_whole_is(path: Path) -> None:
    """Both round every layer; neither more than the other, within a fifth."""
    exact, rounded = (load(path, None, choose("cpu", dtype)) for dtype in ("float32", "bfloat16"))
    z = torch.randn(1, 4, 16, 13)
    with torch.inference_mode():
        truth, half = exact.vae.decode(z), z.bfloat16().to(memory_format=torch.channels_last)
        whole = rounded.vae.decode(half).float()
        tiles, room = VaeTiles(decoder_tile=5), Room(CPU, torch.bfloat16, 10**9)
        banded = tiled_vae.decode(rounded.vae, half, tiles, room).float()
    assert (banded - truth).norm() < 1.2 * (whole - truth).norm()


def test_a_model_decodes_and_encodes_as_its_tiles_say(path: Path) -> None:
    model = load(path, None, choose("cpu", "float32"))
    tiled = replace(model, tiles=VaeTiles(encoder_tile=30, decoder_tile=8))
    latents, picture = torch.randn(4, 12, 9), torch.rand(3, 48, 36)
    assert torch.allclose(tiled.decode(latents), model.decode(latents), atol=EXACT)
    assert torch.allclose(tiled.encode(picture), model.encode(picture), atol=EXACT)
    short = replace(model, limit=1)  # no memory at all: everything is spilled
    assert torch.allclose(short.decode(latents), model.decode(latents), atol=EXACT)


def test_tiles_come_by_memory_and_fast_ones_by_size_alone() -> None:
    plenty, width = 10**13, 128
    assert automatic(512 * 512, plenty, torch.float32, width) is None
    assert automatic(2048 * 2048, 1_100_000_000, torch.float32, width) == VaeTiles(
        encoder_tile=256, decoder_tile=32, fast=False
    )
    assert automatic(2048 * 2048, 0, torch.float32, width) == VaeTiles(encoder_tile=128, decoder_tile=16, fast=False)
    for free in (0, plenty):
        large = automatic(2048 * 2056, free, torch.float32, width)
        assert large is not None
        assert large.fast


def test_tiles_shrink_to_an_end() -> None:
    sizes = []
    tiles = smaller(None)
    while tiles is not None:
        sizes.append(tiles.decoder_tile)
        tiles = smaller(tiles)
    assert sizes == [96, 48, 24, 12]
