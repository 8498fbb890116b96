"""Fast tiles: exact but for the statistics, which come from samples; those are all of a small picture."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.support.checkpoints import sd1_spec, write_ldm

import inkwash
from inkwash.core.request import VaeTiles
from inkwash.models import fast_vae, tiled_vae, walk
from inkwash.models.load import load
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.tiling import tiling
from inkwash.runtime.device import choose
from inkwash.runtime.room import Room

BOX = Path(inkwash.__file__).parent / "box" / "inkwash-box.safetensors"
FAST = VaeTiles(encoder_tile=24, decoder_tile=5, fast=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_ldm(path, sd1_spec((32, 64), depths=(1, 0), vae_channels=(32, 32, 64), vae_layers=1))
    return load(path, None, choose("cpu", "float32"))


def room() -> Room:
    return Room(torch.device("cpu"), torch.float32, 10**9)


@torch.inference_mode()
def test_with_all_of_the_picture_as_sample_it_is_exact(model: StableDiffusion) -> None:
    """So tiles see as far as their convolutions reach, at edges and within."""
    z, picture = torch.randn(1, 4, 23, 17), torch.rand(1, 3, 92, 68) * 2 - 1
    for seen in (model, tiling(model)):
        assert torch.allclose(tiled_vae.decode(seen.vae, z, FAST, room()), seen.vae.decode(z), atol=1e-3)
    found, expected = tiled_vae.encode(model.vae, picture, FAST, room()), model.vae.encode(picture)
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(found, expected, strict=True))


@torch.inference_mode()
def test_a_mosaic_of_samples_is_near(model: StableDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    """White noise through random weights, the worst there is, a seventh of it sampled: within a fifth.

    Tiles of another size make the same picture.
    """
    monkeypatch.setattr(fast_vae, "SAMPLE", 8)
    monkeypatch.setattr(fast_vae, "SAMPLES", 2)
    monkeypatch.setattr(walk, "KEYS", 400)
    torch.manual_seed(0)
    z, picture = torch.randn(1, 4, 40, 44), torch.rand(1, 3, 160, 176) * 2 - 1
    exact, near = model.vae.decode(z), tiled_vae.decode(model.vae, z, FAST, room())
    assert 1e-3 < (near - exact).norm() / exact.norm() < 0.2
    other = tiled_vae.decode(model.vae, z, replace(FAST, decoder_tile=13), room())
    assert torch.allclose(near, other, atol=1e-3)
    exact, near = model.vae.encode(picture)[0], tiled_vae.encode(model.vae, picture, FAST, room())[0]
    assert 1e-4 < (near - exact).norm() / exact.norm() < 0.2


@pytest.mark.slow
def test_8192x8192_decodes_within_8_gigabytes() -> None:
    """The box's autoencoder in float32, in a process of its own.  An hour on two cores."""
    code = (
        "import dataclasses, resource, torch\n"
        "from pathlib import Path\n"
        "from inkwash.models.load import load\n"
        "from inkwash.runtime.device import choose\n"
        f"model = load(Path({str(BOX)!r}), None, choose('cpu', 'float32'))\n"
        "picture = dataclasses.replace(model, limit=8 * 10**9).decode(torch.randn(4, 1024, 1024))\n"
        "assert picture.shape == (3, 8192, 8192), picture.shape\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_ARENA_MAX": "2"}
    told = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert int(told.stdout) < 8 * 10**9
