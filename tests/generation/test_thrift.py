"""Memory that runs out is injected: the picture is drawn all the same, with less at a time, and a word is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from inkwash.core.errors import OutOfMemory
from inkwash.core.request import GenerateRequest
from inkwash.generation import thrift
from inkwash.generation.engine import Engine
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.vae import VAE

REQUEST = GenerateRequest(prompt="a cat", width=64, height=64, steps=2, seed=1, model="tiny")
NO_MEMORY = "DefaultCPUAllocator: can't allocate memory"


def near(one: Any, other: Any) -> bool:
    """Within a level of 255, as an exact picture computed in another order may be."""
    a, b = (torch.frombuffer(bytearray(result.images[0].tobytes()), dtype=torch.uint8) for result in (one, other))
    return int((a.int() - b.int()).abs().max()) <= 1


def test_a_decoder_without_memory_decodes_in_tiles(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = engine.generate(REQUEST)
    monkeypatch.setattr(VAE, "decode", failing())
    thrifty = engine.generate(REQUEST)
    assert near(plain, thrifty)
    assert thrifty.warnings == [*plain.warnings, thrift.TILED]


def test_two_rows_without_memory_go_one_after_the_other(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, calls = engine.generate(REQUEST), []
    whole = StableDiffusion.denoise

    def one_at_a_time(self: StableDiffusion, x: Tensor, *rest: Any) -> Tensor:
        calls.append(len(x))
        if len(x) > 1:
            raise MemoryError
        return whole(self, x, *rest)

    monkeypatch.setattr(StableDiffusion, "denoise", one_at_a_time)
    thrifty = engine.generate(REQUEST)
    assert calls[:3] == [2, 1, 1]
    assert near(plain, thrifty)
    assert thrifty.warnings == [*plain.warnings, thrift.SPLIT]


def test_what_does_not_fit_however_little_is_asked_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StableDiffusion, "decode", failing())
    with pytest.raises(OutOfMemory, match="64x64"):
        engine.generate(REQUEST)


def test_other_errors_are_not_tried_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def broken(self: VAE, z: Tensor) -> Tensor:
        calls.append(1)
        raise ValueError("broken")

    monkeypatch.setattr(VAE, "decode", broken)
    with pytest.raises(ValueError, match="broken"):
        engine.generate(REQUEST)
    assert len(calls) == 1


def failing() -> Callable[..., Tensor]:
    def fail(*arguments: Any) -> Tensor:
        raise RuntimeError(NO_MEMORY)

    return fail
