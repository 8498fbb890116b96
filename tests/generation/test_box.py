"""The model in the box: a file like any other, which draws what it is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tests.support.pipelines import on

from inkwash.checkpoint import detect
from inkwash.checkpoint.files import open_source
from inkwash.checkpoint.pipeline import diffusers_folder
from inkwash.checkpoint.weights import stored_weights
from inkwash.core.request import GenerateRequest
from inkwash.diffusion import SCHEDULES, STABLE_DIFFUSION
from inkwash.generation.engine import Engine

STEPS = 6


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """No models but the box."""
    return Engine(tmp_path_factory.mktemp("nothing"), "cpu", "float32")


def draw(engine: Engine, prompt: str, seed: int = 3) -> NDArray[np.int16]:
    """(H, W, 3)"""
    request = GenerateRequest(prompt=prompt, seed=seed, steps=12, cfg_scale=6.0)
    return np.asarray(engine.generate(request).images[0]).astype(np.int16)


def share(pixels: NDArray[np.int16], colour: int) -> float:
    """Of the pixels in which one channel (0 red, 1 green, 2 blue) stands clearly above both others."""
    others = [pixels[..., other] for other in range(3) if other != colour]
    return float(np.mean(pixels[..., colour] > np.maximum(*others) + 25))


def corners(picture: NDArray[np.int16]) -> NDArray[np.int16]:
    edge = len(picture) // 8
    return np.concatenate([picture[:edge, :edge], picture[:edge, -edge:]])


@pytest.mark.parametrize("prompt", ["a green apple on a blue background", "蓝色背景，一个青苹果"])
def test_a_green_apple_on_a_blue_background(engine: Engine, prompt: str) -> None:
    picture = draw(engine, prompt)
    quarter = len(picture) // 4
    assert share(corners(picture), 2) > 0.9
    assert share(picture[quarter:-quarter, quarter:-quarter], 1) > 0.4


def test_a_red_car_and_a_blue_car(engine: Engine) -> None:
    red, blue = (draw(engine, f"a {colour} car on a white background") for colour in ("red", "blue"))
    assert share(red, 0) > 0.1 > share(red, 2)
    assert share(blue, 2) > 0.1 > share(blue, 0)


def test_it_loads_in_diffusers_and_gives_equal_latents(engine: Engine, tmp_path: Path) -> None:
    """Converted by our own tables; float32, relative L2 below 1e-3."""
    from diffusers import StableDiffusionPipeline

    path = engine.catalog.find(None).path
    spec = detect(path)
    with open_source(path) as source:
        diffusers_folder(stored_weights(source, spec, "float32"), spec).write(tmp_path / "box")
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "box")
    pipeline.set_progress_bar_config(disable=True)
    sigmas = SCHEDULES["Karras"](STEPS, STABLE_DIFFUSION.sigma_min, STABLE_DIFFUSION.sigma_max)
    pipeline.scheduler = on("EulerDiscreteScheduler", sigmas)
    theirs = pipeline(
        prompt="a cat on the grass",
        negative_prompt="blurry",
        latents=torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5)),
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        height=128,
        width=128,
        output_type="latent",
    ).images
    request = GenerateRequest(
        prompt="a cat on the grass", negative_prompt="blurry", seed=5, steps=STEPS, sampler="Euler", schedule="Karras",
        cfg_scale=5.0,
    )  # fmt: skip
    ours = engine.generate(request).latents
    assert (ours - theirs).norm() / theirs.norm() < 1e-3


@pytest.mark.parametrize(("box", "blur"), [((16, 60, 64, 112), 0), ((32, 32, 96, 96), 4)])
def test_a_redrawn_part_meets_its_surroundings_in_colour(
    engine: Engine, box: tuple[int, int, int, int], blur: float
) -> None:
    """At strength 0 only the autoencoder's error is left; the mean colour step across the border is below 1 of 255.

    Blurred, as masks are unless told otherwise, also where the border runs through the figure.
    """
    source = engine.generate(GenerateRequest(prompt="a house on the grass", seed=4, steps=8)).images[0]
    left, top, right, bottom = box
    mask = Image.new("L", source.size)
    mask.paste(255, box)
    request = GenerateRequest(init_image=source, mask=mask, mask_blur=blur, denoising_strength=0.0, seed=1)
    off = np.asarray(engine.generate(request).images[0]).astype(float) - np.asarray(source)
    within = off[top, left:right], off[bottom - 1, left:right], off[top:bottom, left], off[top:bottom, right - 1]
    without = off[top - 1, left:right], off[bottom, left:right], off[top:bottom, left - 1], off[top:bottom, right]
    assert np.abs((np.concatenate(within) - np.concatenate(without)).mean(axis=0)).max() < 1
    if not blur:
        assert not off[np.asarray(mask) == 0].any()
