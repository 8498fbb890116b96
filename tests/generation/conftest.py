"""A tiny model of the real structure in a folder as A1111 users have it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.checkpoints import sd1_spec, write_ldm

from inkwash.generation.engine import Engine


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An A1111 folder with the models "tiny" (eps), "tiny-v" (v-prediction) and "tiny-inpainting" (9 channels)."""
    root = tmp_path_factory.mktemp("a1111")
    folder = root / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    write_ldm(folder / "tiny.safetensors", sd1_spec())
    write_ldm(folder / "tiny-v.safetensors", sd1_spec(prediction="v"), metadata={"modelspec.prediction_type": "v"})
    write_ldm(folder / "tiny-inpainting.safetensors", sd1_spec(in_channels=9))
    return root


@pytest.fixture(scope="session")
def engine(models_dir: Path) -> Engine:
    """Float32 on the CPU; no test changes it."""
    return Engine(models_dir=models_dir, device="cpu", dtype="float32")
