"""Pictures of the model in the box, enlarged four times: no seams where tiles meet, no subject in every tile."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from tests.support.seams import CELL, Light, Seam, light, lines, seam, steps
from torch import Tensor

from inkwash.core.boxes import grid
from inkwash.core.request import GenerateRequest
from inkwash.generation.engine import Engine
from inkwash.generation.enlarging import ROADS, Target, plan_enlarging
from inkwash.generation.latents import as_tensor
from inkwash.generation.run import Decode, Encode, Run
from inkwash.generation.sd_upscale import Mosaic, tile_by_tile

SUBJECTS = ("a cute cat on the grass", "a red house", "a snowy mountain", "a bowl of fruit", "a ship on the sea")
BOXES = grid((64, 64), (16, 16), 4)
MET = lines(BOXES, 0), lines(BOXES, 1)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(device="cpu")


def texture(seed: int) -> Light:
    """Clouds with grain, and a habit: a step every 32 pixels, as cells of 8 pixels leave it, enlarged four times."""
    random = np.random.default_rng(seed)
    clouds = gaussian_filter(random.normal(0, 1, (512, 512)), 12) * 400
    grain = gaussian_filter(random.normal(0, 1, (512, 512)), 0.7) * 3
    habit = (np.arange(512) // 32 % 2) * 0.5
    return np.round(128 + clouds + grain + habit + habit[:, None])


def seamed(picture: Light, apart: float) -> Light:
    """With tiles that much apart from one another."""
    brighter = picture.copy()
    for box in BOXES[::2]:
        brighter[box.times(CELL).place] += apart
    return np.round(brighter)


PICTURES = [texture(seed) for seed in range(4)]


def redrawn(picture: Light, seed: int) -> Light:
    """The same with other grain of half the strength, as a picture drawn over has it."""
    return np.round(picture + gaussian_filter(np.random.default_rng(seed).normal(0, 1, picture.shape), 0.7) * 1.5)


def measured(apart: float, met: tuple[list[int], list[int]] = MET) -> Seam:
    return seam([(seamed(redrawn(one, 50 + n), apart), one) for n, one in enumerate(PICTURES)], met)


def test_without_a_seam_the_measure_is_one() -> None:
    """Within 2 % and three of its errors, at tiles' lines and at others, though the picture has lines of its own."""
    shifted = [place + 32 for place in lines(grid((64, 64), (16, 16), 0), 0)]
    for met in (MET, (shifted, shifted)):
        none = measured(0.0, met)
        assert abs(none.ratio - 1) < min(0.02, 3 * none.error)


def test_a_seam_of_a_level_is_seen_by_the_measure() -> None:
    """The grain is of 3 levels."""
    assert measured(1.0).ratio > 1.05
    assert measured(3.0).ratio > 1.3


def test_tiles_of_the_box_fade_without_a_step(engine: Engine) -> None:
    """Where the next tile sets in, and where it is alone at last, the picture steps as one tile by itself does there.

    Within 1 %; up to the very cut, whose last column the decoder sees beside nothing, the step was 3 % too large.
    """
    model, boxes = engine.model(), grid((16, 64), (16, 16), 4)
    large = Image.fromarray(texture(7)[:128].astype(np.uint8)).convert("RGB")
    alone: list[Light] = []

    def one(number: int, part: Image.Image) -> Run[Tensor]:
        encoded: Tensor = yield Encode(model, as_tensor(part))
        return encoded + 0.2 * torch.randn(encoded.shape, generator=torch.Generator().manual_seed(number))

    run = tile_by_tile(model, Mosaic((512, 128), tuple(boxes), 8), large, one, 0.0)
    whole = _answered(run, alone)
    here, there = [], []
    for box, before, tile in zip(boxes[1:], alone, alone[1:], strict=False):
        begins, shared = box.left * CELL, 32
        here += [steps(whole, 1)[begins], steps(whole, 1)[begins + shared]]
        there += [steps(before, 1)[128 - shared], steps(tile, 1)[shared]]
    assert abs(np.mean(here) / np.mean(there) - 1) < 0.01


def _answered(run: Run[tuple[Tensor, Tensor]], decoded: list[Light]) -> Light:
    """The picture as lightness; and every tile as it was decoded."""
    answer = None
    while True:
        try:
            question = run.send(answer)
        except StopIteration as done:
            return _lightness(done.value[1])
        if isinstance(question, Encode):
            answer = question.model.encode(question.picture)
        else:
            assert isinstance(question, Decode)
            answer = question.model.decode(question.latents)
            decoded.append(_lightness(answer))


def _lightness(picture: Tensor) -> Light:
    """(3, H, W) in 0..1 -> (H, W) in 0..255, not rounded."""
    parts = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    found: Light = ((picture * parts).sum(0) * 255).double().numpy()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("road", ROADS)
def test_there_are_no_seams(engine: Engine, road: str) -> None:
    """Within 5 %, over the lines of five pictures, beside the same five through the autoencoder in one piece."""
    pairs = []
    for seed, subject in enumerate(SUBJECTS, 11):
        picture = engine.generate(GenerateRequest(prompt=f"{subject}, best quality", seed=seed, steps=16)).images[0]
        large = enlarged(engine, picture, seed, Target(to=512, road=road), 0.35)
        plain = enlarged(engine, picture, seed, Target(to=512, tile=512), 0.0)
        assert large.shape == plain.shape == (512, 512)
        pairs.append((large, plain))
    assert abs(seam(pairs, MET).ratio - 1) < 0.05


def enlarged(engine: Engine, picture: Image.Image, seed: int, target: Target, strength: float) -> Light:
    base = GenerateRequest(prompt="best quality", seed=seed, steps=16, denoising_strength=strength, keep_structure=0.75)
    (one,) = plan_enlarging(base, picture.size, target, engine.model().spec, torch.float32, 10**12)
    return light(engine.generate(one.over(picture)).images[0])
