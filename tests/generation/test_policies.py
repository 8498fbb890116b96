"""How an engine comes to a policy: told, by what fits, or by what ran out; and that pictures are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from inkwash.core.errors import OutOfMemory
from inkwash.core.request import GenerateRequest
from inkwash.core.settings import Memory
from inkwash.generation.engine import Engine
from inkwash.models.absent import Absent
from inkwash.models.stable_diffusion import StableDiffusion

REQUEST = GenerateRequest(prompt="a cat", width=64, height=64, steps=1, seed=1, model="tiny")


def engine_with(models_dir: Path, **memory: Any) -> Engine:
    return Engine(models_dir, "cpu", "float32", Memory(**memory))


def sparing(engine: Engine) -> bool:
    return any(isinstance(part, Absent) for part in engine.model("tiny").unet.modules())


@pytest.mark.parametrize("policy", ["swapped", "sequential"])
def test_a_policy_that_is_told_is_kept_and_changes_no_picture(engine: Engine, models_dir: Path, policy: str) -> None:
    told = engine_with(models_dir, policy=policy)
    result = told.generate(REQUEST)
    assert sparing(told)
    assert result.images[0].tobytes() == engine.generate(REQUEST).images[0].tobytes()
    assert not [warning for warning in result.warnings if "policy" in warning]


def test_what_fits_decides(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model has 15 MB of weights, 12 of them its token table, and a picture is 5 MB of work."""
    free = {"bytes": 10**9}
    for user in ("generation.stock", "runtime.memory"):
        monkeypatch.setattr(f"inkwash.{user}.available_memory", lambda device, limit=None: free["bytes"])
    plenty = engine_with(models_dir)
    assert not [warning for warning in plenty.generate(REQUEST).warnings if "policy" in warning]
    assert not sparing(plenty)
    free["bytes"] = 14 * 10**6
    engine = engine_with(models_dir)
    with pytest.raises(OutOfMemory):
        engine.generate(GenerateRequest(model="tiny", width=4096, height=4096))
    warned = engine.generate(REQUEST).warnings
    assert [warning for warning in warned if "policy sequential" in warning]
    assert sparing(engine)


def test_memory_that_runs_out_while_drawing_lightens_the_model(
    models_dir: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = StableDiffusion.denoise

    def denoise(self: StableDiffusion, *arguments: Any) -> torch.Tensor:
        if not any(isinstance(part, Absent) for part in self.unet.modules()):
            raise MemoryError
        return whole(self, *arguments)

    expected = engine.generate(REQUEST)
    monkeypatch.setattr(StableDiffusion, "denoise", denoise)
    own = engine_with(models_dir)
    result = own.generate(REQUEST)
    assert result.images[0].tobytes() == expected.images[0].tobytes()
    assert [warning for warning in result.warnings if "policy swapped" in warning]
    with pytest.raises(OutOfMemory):
        engine_with(models_dir, policy="resident").generate(REQUEST)


def test_a_limit_reaches_the_model(models_dir: Path) -> None:
    engine = engine_with(models_dir, limit=1000.5)
    assert engine.model("tiny").limit == 1_000_500_000_000
