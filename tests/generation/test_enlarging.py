"""Learned upscalers in the engine: found by name, kept, used by the hires pass, told in the picture's text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support import upscalers
from tests.support.checkpoints import sd1_spec, write_ldm

from inkwash.core import infotext
from inkwash.core.errors import InvalidRequest
from inkwash.core.limits import check
from inkwash.core.request import GenerateRequest, HiresPass, SDUpscale, TiledDiffusion
from inkwash.core.resizing import Size
from inkwash.generation.engine import Engine
from inkwash.generation.loop import Loop
from inkwash.generation.run import Enlarge, Run
from inkwash.imaging.learned import Learned
from inkwash.imaging.upscale import Pieces, Resampling

HIRES = GenerateRequest(
    prompt="a cat", seed=5, steps=2, width=64, height=48, model="tiny",
    hires=HiresPass(scale=1.5, steps=2, upscaler="some-compact"),
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Upscalers in the folders of A1111 and ComfyUI beside a tiny model."""
    root = tmp_path_factory.mktemp("a1111")
    (root / "models" / "Stable-diffusion").mkdir(parents=True)
    write_ldm(root / "models" / "Stable-diffusion" / "tiny.safetensors", sd1_spec())
    upscalers.saved(upscalers.compact(), root / "models" / "RealESRGAN" / "RealESRGAN_x2plus.pth")
    upscalers.saved(upscalers.compact(), root / "models" / "ESRGAN" / "some-Compact.safetensors")
    upscalers.saved(upscalers.compact(), root / "models" / "upscale_models" / "LatentSharp.pth")
    return root


@pytest.fixture(scope="module")
def engine(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:  # pickles are rewritten into the cache
        patch.setenv("INKWASH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield Engine(models_dir=root, device="cpu", dtype="float32")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("some-compact", "some-Compact"),
        ("SOME-COMPACT.SAFETENSORS", "some-Compact"),
        ("r-esrgan 2x+", "RealESRGAN_x2plus"),
        ("latentsharp", "LatentSharp"),
        ("lanczos", "Lanczos"),
    ],
)
def test_upscalers_are_found_by_the_names_people_use(engine: Engine, name: str, found: str) -> None:
    assert engine.upscaler(name).name == found
    assert engine.upscaler(name) == engine.upscaler(name)  # loaded once


@pytest.mark.parametrize(("name", "near"), [("some-compct", "some-Compact"), ("lancos", "Lanczos"), ("", "Lanczos")])
def test_a_wrong_name_gets_its_nearest(engine: Engine, name: str, near: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        engine.upscaler(name)
    assert near in caught.value.remedy


def test_a_wrong_name_in_a_hires_pass_may_mean_a_latent_upscaler(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="Latent"):
        engine.generate(dataclasses.replace(HIRES, hires=HiresPass(upscaler="Latnet")))


def test_the_hires_pass_takes_a_learned_upscaler_and_tells_its_name(engine: Engine) -> None:
    result = engine.generate(HIRES)
    assert result.images[0].size == (96, 72)
    assert "Hires upscaler: some-Compact" in result.infotexts[0]
    again = check(infotext.to_request(infotext.parse(result.infotexts[0])))
    assert torch.equal(engine.generate(again).latents, result.latents)
    plain = engine.generate(dataclasses.replace(HIRES, hires=HiresPass(scale=1.5, steps=2, upscaler="Lanczos")))
    assert not torch.equal(plain.latents, result.latents)


@pytest.mark.parametrize(
    "changes",
    [
        {"tiled": TiledDiffusion(upscaler="SOME-compact", scale=2.0)},
        {"sd_upscale": SDUpscale(upscaler="SOME-compact", scale=2.0, overlap=8), "width": 48, "height": 48},
    ],
    ids=["tiled", "SD upscale"],
)
def test_a_picture_to_start_from_takes_a_learned_upscaler_and_tells_its_name(
    engine: Engine, changes: dict[str, Any]
) -> None:
    source = Image.linear_gradient("L").resize((32, 24)).convert("RGB")
    request = GenerateRequest(prompt="a cat", seed=5, steps=2, model="tiny", init_image=source, **changes)
    result = engine.generate(request)
    assert result.images[0].size == (64, 48)
    told = infotext.to_request(infotext.parse(result.infotexts[0]))
    assert [one.upscaler for one in (told.tiled, told.sd_upscale) if one] == ["some-Compact"]
    again = engine.generate(check(dataclasses.replace(told, init_image=source)))
    assert again.images[0].tobytes() == result.images[0].tobytes()
    plain = {
        name: dataclasses.replace(one, upscaler="Lanczos") for name, one in changes.items() if hasattr(one, "upscaler")
    }
    assert engine.generate(dataclasses.replace(request, **plain)).images[0].tobytes() != result.images[0].tobytes()


def test_the_box_has_an_upscaler(engine: Engine) -> None:
    assert engine.catalog.entries("upscaler")[0].name == "Inkwash 2x"
    upscaler = engine.upscaler("inkwash 2x")
    assert isinstance(upscaler, Learned)
    flat = Image.new("RGB", (20, 10), (200, 100, 50))
    made = np.asarray(upscaler(flat, (40, 20))).astype(int)
    assert np.abs(made - (200, 100, 50)).max() <= 6  # an even area stays even


class Slow:
    """Takes three pieces."""

    name = "slow"

    def __call__(self, picture: Image.Image, size: Size) -> Image.Image:
        raise AssertionError("asked in pieces")

    def pieces(self, picture: Image.Image, size: Size) -> Pieces:
        yield from (0.25, 0.5, 1.0)
        return picture.resize(size)


def enlarging(told: list[float]) -> Run[Size]:
    large: Image.Image = yield Enlarge(Slow(), Image.new("RGB", (4, 4)), (8, 8), told.append)
    return large.size


def test_an_enlarging_goes_on_tile_by_tile_beside_the_others() -> None:
    told: list[float] = []
    loop = Loop(strict=True)
    slow, quick = loop.add(enlarging(told)), loop.add(_quick())
    assert [one.ticket for one in loop.step()] == [quick]
    assert told == [0.25]
    loop.step()
    loop.step()
    (finished,) = loop.step()
    assert (finished.ticket, finished.value) == (slow, (8, 8))
    assert told == [0.25, 0.5, 1.0]
    stopped = loop.add(enlarging(told))
    loop.step()
    loop.cancel(stopped)
    assert loop.step() == []
    assert told[3:] == [0.25]


def _quick() -> Run[Size]:
    large: Image.Image = yield Enlarge(Resampling("Nearest"), Image.new("RGB", (4, 4)), (8, 8))
    return large.size


def test_what_the_teller_raises_ends_the_run() -> None:
    def refuse(share: float) -> None:
        raise ValueError("stop")

    loop = Loop(strict=True)
    loop.add(_told(refuse))
    (finished,) = loop.step()
    assert isinstance(finished.error, ValueError)


def _told(tell: object) -> Run[None]:
    yield Enlarge(Slow(), Image.new("RGB", (4, 4)), (8, 8), tell)  # type: ignore[arg-type]
