"""Pictures of the model in the box, enlarged four times: no seams where tiles meet, no subject in every tile."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from inkwash.core.boxes import Box, grid
from inkwash.core.request import GenerateRequest
from inkwash.generation.engine import Engine
from inkwash.generation.enlarging import Target, plan_enlarging

CELL = 8  # pixels of a latent, at whose borders the decoder has a rhythm of its own
PROMPTS = {
    7: "a cute cat on the grass, best quality",
    11: "a red house, best quality",
    12: "a snowy mountain, best quality",
}


def lines(boxes: list[Box], side: int) -> tuple[list[int], list[int]]:
    """Where tiles begin, end or hand over to the next along one side, in pixels; and all other borders of latents."""
    starts = sorted({box.left for box in boxes})
    ends = [start + boxes[0].width for start in starts]
    middles = [(start + end) // 2 for start, end in zip(starts[1:], ends, strict=False)]
    met = sorted({CELL * place for place in (*starts, *ends, *middles) if 1 < place < side // CELL - 1})
    return met, [place for place in range(2 * CELL, side - CELL, CELL) if place not in met]


def steps(image: Image.Image, places: list[int], reach: int = 4) -> list[float]:
    """How much lightness changes across each line, in parts of what it changes within ``reach`` pixels around."""
    light, found = np.asarray(image.convert("L"), dtype=float), []
    for axis in (0, 1):
        change = np.abs(np.diff(light, axis=axis)).mean(1 - axis)
        for place in places:
            around = np.concatenate([change[place - 1 - reach : place - 1], change[place : place + reach]])
            found.append(float(change[place - 1] / around.mean()))
    return found


@pytest.mark.slow
def test_there_are_no_seams() -> None:
    """Within 5 %, over the lines of three pictures: one picture's own edges count for more than that."""
    engine = Engine(device="cpu")
    spec, met, elsewhere = engine.model().spec, [], []
    places, others = lines(grid((64, 64), (16, 16), 4), 512)
    for seed, prompt in PROMPTS.items():
        picture = engine.generate(GenerateRequest(prompt=prompt, seed=seed, steps=16)).images[0]
        base = GenerateRequest(prompt="best quality", seed=seed, steps=16, denoising_strength=0.35, keep_structure=0.75)
        (one,) = plan_enlarging(base, picture.size, Target(to=512), spec, torch.float32, 10**10)
        large = engine.generate(one.over(picture)).images[0]
        assert large.size == (512, 512)
        met += steps(large, places)
        elsewhere += steps(large, others)
    assert abs(np.mean(met) / np.mean(elsewhere) - 1) < 0.05


def test_a_seam_is_seen_by_the_measure() -> None:
    """Tiles half a level apart, on noise of one level."""
    noise = np.random.default_rng(1).normal(128, 1, (512, 512))
    boxes = grid((64, 64), (16, 16), 4)
    places, others = lines(boxes, 512)

    def ratio(apart: float) -> float:
        light = noise.copy()
        for number, box in enumerate(boxes):
            light[box.times(CELL).place] += apart * (-1) ** number
        image = Image.fromarray(light.clip(0, 255).astype(np.uint8))
        return float(np.mean(steps(image, places)) / np.mean(steps(image, others)))

    assert abs(ratio(0) - 1) < 0.05
    assert ratio(3) > 1.2
