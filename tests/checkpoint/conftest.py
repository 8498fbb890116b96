"""One tiny model, saved by every road, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.checkpoints import sd1_spec, write_diffusers, write_ldm

from inkwash.checkpoint import ModelSpec


@pytest.fixture(scope="session")
def tiny() -> ModelSpec:
    return sd1_spec(vocabulary=100)


@pytest.fixture(scope="session")
def ldm_file(tiny: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ldm") / "tiny.safetensors"
    write_ldm(path, tiny)
    return path


@pytest.fixture(scope="session")
def diffusers_folder(tiny: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diffusers") / "tiny"
    write_diffusers(folder, tiny)
    return folder
