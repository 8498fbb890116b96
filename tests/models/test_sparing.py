"""Weights that come and go: the same answers bit for bit, and never more of them in memory than the policy says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.support.checkpoints import sd1_spec, sdxl_spec, write_ldm
from torch import nn

from inkwash.checkpoint import detect
from inkwash.core.errors import DamagedFile
from inkwash.models.absent import Passing, Seat
from inkwash.models.load import load, weights_size
from inkwash.models.observed import Sight, observed
from inkwash.models.sparing import Policy, held_size, load_by
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.tiling import tiling
from inkwash.runtime.device import choose

CPU = choose("cpu", "float32")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_ldm(path, sd1_spec((32, 64), depths=(1, 0), vae_layers=1))
    return path


def answers(model: StableDiffusion) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, context = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 77, 64, generator=generator)
    text, _ = model.encode_tokens(0, torch.arange(77), 1, end=5)
    picture = torch.rand(3, 64, 64, generator=generator)
    return [text, model.denoise(x, [2.0], context, None), model.decode(x[0]), model.encode(picture)]


def same(one: StableDiffusion, other: StableDiffusion) -> bool:
    return all(torch.equal(a, b) for a, b in zip(answers(one), answers(other), strict=True))


@pytest.mark.parametrize("home", ["file", "memory"])
@pytest.mark.parametrize("policy", ["swapped", "sequential"])
def test_answers_are_the_same_bit_for_bit(path: Path, policy: Policy, home: str) -> None:
    resident, sparing = load(path, None, CPU), load_by(policy, path, None, CPU, home=home)  # type: ignore[arg-type]
    assert same(sparing, resident)
    assert same(tiling(sparing), tiling(resident))
    sights = [Sight(8, 8, 77), Sight(8, 8, 77)]
    assert same(*(observed(model, sight) for model, sight in zip((sparing, resident), sights, strict=True)))
    told = [sight.take() for sight in sights]
    assert told[0] is not None
    assert told[1] is not None
    assert torch.equal(told[0], told[1])


def test_two_encoders_and_a_vae_of_its_own(tmp_path: Path) -> None:
    from tests.support.checkpoints import random_weights

    from inkwash.checkpoint.files import write

    spec = sdxl_spec((64, 64), (0, 1), vae_channels=(32, 32, 64, 64))
    write_ldm(tmp_path / "xl.safetensors", spec)
    weights = random_weights(spec, seed=7)
    write(tmp_path / "vae.safetensors", {n.removeprefix("vae."): weights[n] for n in weights if n.startswith("vae.")})
    paths = tmp_path / "xl.safetensors", tmp_path / "vae.safetensors"
    resident, sparing = load(*paths, CPU), load_by("sequential", *paths, CPU)
    latents = torch.randn(4, 4, 4)
    assert torch.equal(resident.decode(latents), sparing.decode(latents))
    assert not torch.equal(load(paths[0], None, CPU).decode(latents), sparing.decode(latents))
    for encoder in (0, 1):
        mine, theirs = (model.encode_tokens(encoder, torch.arange(77), 1, end=5) for model in (sparing, resident))
        assert torch.equal(mine[0], theirs[0])


class Watching:
    """A place that counts the numbers held at once."""

    def __init__(self, inner: Passing | Seat) -> None:
        self.inner = inner
        self.most = 0
        self.networks: list[str] = []

    def part(self, network: str, name: str, make: Callable[[], nn.Module]) -> nn.Module:
        part = self.inner.part(network, name, make)
        held = self.inner._parts.values() if isinstance(self.inner, Seat) else [part]
        self.most = max(self.most, sum(one.numel() * 4 for held_part in held for one in held_part.parameters()))
        self.networks = [*self.networks, network] if self.networks[-1:] != [network] else self.networks
        return part


@pytest.mark.parametrize(("policy", "kind"), [("swapped", Seat), ("sequential", Passing)])
def test_no_more_is_held_than_the_policy_says(
    path: Path, policy: Policy, kind: type[Passing | Seat], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Watching(kind())
    monkeypatch.setattr(f"inkwash.models.sparing.{kind.__name__}", lambda: place)
    monkeypatch.setattr("inkwash.models.sparing.pack", lambda *arguments: None)  # packed weights count otherwise
    answers(load_by(policy, path, None, CPU))
    spec = detect(path)
    assert place.networks == ["text_encoder", "unet", "vae"]
    assert place.most <= held_size(policy, spec, CPU) < weights_size(spec, CPU)


def test_a_size_for_each_policy(path: Path) -> None:
    spec = detect(path)
    sizes = [held_size(policy, spec, CPU) for policy in ("resident", "swapped", "sequential")]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == weights_size(spec, CPU)


def test_a_weight_that_is_not_finite_is_refused_when_it_comes(tmp_path: Path) -> None:
    from inkwash.checkpoint.files import read, write

    path = tmp_path / "broken.safetensors"
    write_ldm(path, sd1_spec((32, 64), depths=(1, 0), vae_layers=1))
    tensors = {name: tensor.clone() for name, tensor in read(path).items()}
    tensors["first_stage_model.decoder.conv_out.bias"][0] = torch.nan
    write(path, tensors)
    model = load_by("swapped", path, None, CPU)
    with pytest.raises(DamagedFile, match=r"decoder.conv_out.bias"):
        model.decode(torch.zeros(4, 4, 4))
