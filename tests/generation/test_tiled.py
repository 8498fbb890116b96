"""Tiled diffusion against the papers' formulas, and regions, on a tiny model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import norm
from torch import Tensor

from inkwash.core.boxes import Box
from inkwash.core.choices import TILE_METHODS
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest, HiresPass, Region, TiledDiffusion, TileMethod
from inkwash.generation.conditioning import row
from inkwash.generation.engine import Engine
from inkwash.generation.regions import box_of, region_shares
from inkwash.generation.run import Encoded
from inkwash.generation.text import encode_chunks
from inkwash.prompt import load_tokenizer, tokenize

RANDOM = np.random.default_rng(2)
PHOTO = Image.fromarray(RANDOM.integers(0, 256, (8, 10, 3), dtype=np.uint8)).resize((112, 80), Image.Resampling.BICUBIC)
MASK = Image.new("L", PHOTO.size)
MASK.paste(255, (30, 20, 90, 60))
SIGMAS = (5.0, 1.0, 0.0)
TILES = TiledDiffusion(tile_width=9, tile_height=8, overlap=3)
REQUEST = GenerateRequest(
    prompt="a cat",
    negative_prompt="blurry",
    seed=5,
    width=112,
    height=80,
    model="tiny",
    sampler="Euler",
    sigmas=SIGMAS,
)


def latents(engine: Engine, **changes: object) -> Tensor:
    return engine.generate(dataclasses.replace(REQUEST, **changes)).latents  # type: ignore[arg-type]


ROADS: dict[str, dict[str, object]] = {
    "txt2img": {"sampler": "DPM++ 2M SDE"},
    "cfg++": {"sampler": "DDIM CFG++", "sigmas": None, "steps": 3, "cfg_scale": 1.0},
    "img2img": {"init_image": PHOTO, "denoising_strength": 0.6, "cfg_rescale": 0.5},
    "inpaint": {"init_image": PHOTO, "mask": MASK, "sampler": "Euler a"},
    "nine channels": {"init_image": PHOTO, "mask": MASK, "model": "tiny-inpainting"},
    "refiner": {"refiner": "tiny-v", "refiner_switch_at": 0.5},
    "hires": {"hires": HiresPass(scale=1.2, steps=2)},
}


@pytest.mark.parametrize("changes", ROADS.values(), ids=ROADS)
def test_one_tile_that_covers_all_is_the_plain_road_bit_for_bit(engine: Engine, changes: dict[str, object]) -> None:
    plain, one = latents(engine, **changes), latents(engine, tiled=TiledDiffusion(), **changes)
    assert torch.equal(plain, one)
    assert not torch.equal(plain, latents(engine, tiled=TILES, **changes))


def context(engine: Engine, text: str) -> Tensor:
    model = engine.model("tiny")
    return encode_chunks(model, tuple(tokenize(text, load_tokenizer(), "Original")), 1, "Original").context


def walked(engine: Engine, weight: Callable[[int, int], Any], *, step_first: bool) -> Tensor:
    """Euler's way with the tiles written out: 2 rows and 2 columns of 8x9 on 10x14, unguided.

    step_first: each tile takes the step by itself and the results are averaged, as MultiDiffusion has it; otherwise
    the predictions are, as Mixture of Diffusers has it.
    """
    model, text = engine.model("tiny"), context(engine, "a cat")
    x = torch.randn(4, 10, 14, generator=torch.Generator().manual_seed(5)).numpy().astype(np.float64) * SIGMAS[0]
    for sigma, following in pairwise(SIGMAS):
        total, weights = np.zeros_like(x), np.zeros((10, 14))
        for top in (0, 2):
            for left in (0, 5):
                tile = x[:, top : top + 8, left : left + 9]
                asked = torch.from_numpy(tile).float()[None]
                seen = model.denoise(asked, [sigma], text[None], None)[0].double().numpy()
                moved = tile + (tile - seen) / sigma * (following - sigma)
                total[:, top : top + 8, left : left + 9] += (moved if step_first else seen) * weight(8, 9)
                weights[top : top + 8, left : left + 9] += weight(8, 9)
        mean = total / weights
        x = mean if step_first else x + (x - mean) / sigma * (following - sigma)
    return torch.from_numpy(x).float()


def test_multidiffusion_is_the_papers_formula(engine: Engine) -> None:
    """Equation 5 of arXiv:2302.08113: the mean of the tiles' steps at every place.  Within 1e-4 of about 5."""
    plan = TiledDiffusion(tile_width=9, tile_height=8, overlap=4)
    ours = latents(engine, tiled=plan, cfg_scale=1.0)[0]
    expected = walked(engine, lambda high, wide: 1.0, step_first=True)
    assert (ours - expected).abs().max() < 1e-4
    assert (ours - latents(engine, cfg_scale=1.0)[0]).abs().max() > 0.01


def test_mixture_of_diffusers_is_the_papers_formula(engine: Engine) -> None:
    """Equation 3 of arXiv:2302.02412 with its code's Gaussian weights."""

    def weight(high: int, wide: int) -> Any:
        y = norm.pdf(np.arange(high), (high - 1) / 2, 0.1 * high)
        return np.outer(y, norm.pdf(np.arange(wide), (wide - 1) / 2, 0.1 * wide))

    plan = TiledDiffusion(method="Mixture of Diffusers", tile_width=9, tile_height=8, overlap=4)
    ours = latents(engine, tiled=plan, cfg_scale=1.0)[0]
    assert (ours - walked(engine, weight, step_first=False)).abs().max() < 1e-4


@pytest.mark.parametrize("method", TILE_METHODS)
def test_tiles_at_once_change_no_bit_in_strict_mode(engine: Engine, method: TileMethod) -> None:
    def drawn(batch: int, strict: bool) -> Tensor:
        return latents(engine, tiled=dataclasses.replace(TILES, method=method, tile_batch=batch), strict=strict)

    one = drawn(1, True)
    assert torch.equal(one, drawn(3, True))
    assert (one - drawn(3, False)).abs().max() < 1e-3


def test_a_tiled_picture_never_depends_on_its_batch(engine: Engine) -> None:
    two = latents(engine, tiled=TILES, batch_size=2)
    assert torch.equal(two[1:], latents(engine, tiled=TILES, seed=6))


def test_what_is_not_masked_comes_back_bit_for_bit(engine: Engine) -> None:
    request = dataclasses.replace(REQUEST, init_image=PHOTO, mask=MASK, tiled=TILES)
    after, outside = np.asarray(engine.generate(request).images[0]), np.asarray(MASK) == 0
    assert (after[outside] == np.asarray(PHOTO)[outside]).all()


def test_a_tile_tells_sdxl_where_it_is_cut() -> None:
    model: Any = SimpleNamespace(latent_factor=8, added=lambda pooled, numbers: numbers)
    x, text = torch.zeros(4, 40, 60), Encoded(torch.zeros(77, 4), torch.zeros(4))
    told: Any = row(model, x, 1.0, text, None, Box(8, 20, 16, 24)).added
    assert (told["height"], told["width"], told["top"], told["left"]) == (320, 480, 64, 160)
    assert (told["target height"], told["target width"]) == (128, 192)
    whole: Any = row(model, x, 1.0, text, None).added
    assert (whole["top"], whole["left"], whole["target height"]) == (0, 0, 320)


def test_too_many_tiles_are_refused(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="at most 4096"):
        latents(engine, width=1024, height=1024, tiled=TiledDiffusion(tile_width=8, tile_height=8, overlap=7))


UNIT = st.floats(0, 1)
REGIONS = st.builds(
    Region,
    x=UNIT,
    y=UNIT,
    w=UNIT,
    h=UNIT,
    blend=st.sampled_from(["Background", "Foreground"]),
    feather_ratio=UNIT,
    weight=st.floats(0.1, 10),
)


@settings(max_examples=60)
@given(st.lists(REGIONS, max_size=4), st.booleans(), st.sampled_from(TILE_METHODS))
def test_shares_add_up_to_one_everywhere(regions: list[Region], background: bool, method: TileMethod) -> None:
    size = (9, 14)
    plan = TiledDiffusion(method=method, regions=tuple(regions), draw_background=background)
    try:
        under, inside = region_shares(plan, size)
    except InvalidRequest:
        covered = torch.zeros(size)
        for region in regions:
            covered[box_of(region, size).place] = 1
        assert not background
        assert covered.min() == 0
        return
    total = under.clone()
    for region, share in zip(regions, inside, strict=True):
        assert (share >= 0).all()
        total[box_of(region, size).place] += share
    assert torch.allclose(total, torch.ones(size), atol=1e-5)


LEFT = Region(x=0.0, y=0.1, w=0.5, h=0.8, prompt="a dog", blend="Foreground")


@pytest.mark.parametrize("blend", ["Background", "Foreground"])
def test_a_regions_prompt_has_no_influence_outside(engine: Engine, blend: Any) -> None:
    """One step: afterwards the tiles see one another's work."""

    def drawn(prompt: str) -> Tensor:
        region = dataclasses.replace(LEFT, prompt=prompt, blend=blend)
        return latents(engine, sigmas=(5.0, 0.0), tiled=dataclasses.replace(TILES, regions=(region,)))[0]

    dog, house, box = drawn("a dog"), drawn("a house"), box_of(LEFT, (10, 14))
    outside = torch.ones(10, 14, dtype=torch.bool)
    outside[box.place] = False
    assert box == Box(1, 0, 8, 7)
    assert torch.equal(dog[:, outside], house[:, outside])
    assert torch.equal(dog[:, outside], latents(engine, sigmas=(5.0, 0.0), tiled=TILES)[0][:, outside])
    assert ((dog - house)[:, ~outside] != 0).any()


def test_a_region_over_everything_is_a_prompt_of_its_own(engine: Engine) -> None:
    region = Region(x=0, y=0, w=1, h=1, prompt="a dog", negative_prompt="grey")
    plan = TiledDiffusion(regions=(region,), draw_background=False)
    same = latents(engine, prompt="a cat, a dog", negative_prompt="blurry, grey")
    assert torch.equal(latents(engine, tiled=plan), same)
    tiled = dataclasses.replace(TILES, regions=(region,), draw_background=False)
    together = latents(engine, prompt="a cat, a dog", negative_prompt="blurry, grey", tiled=TILES)
    assert torch.equal(latents(engine, tiled=tiled), together)


def test_a_regions_seed_is_of_its_noise_alone(engine: Engine) -> None:
    def noised(seed: int) -> Tensor:
        region = dataclasses.replace(LEFT, seed=seed)
        plan = dataclasses.replace(TILES, regions=(region,))
        return latents(engine, sigmas=(1000.0, 999.9), tiled=plan)[0]  # hardly a step: the noise itself

    own, other = noised(-1), noised(77)
    changed = (own != other).any(0)
    box = box_of(LEFT, (10, 14))
    expected = torch.randn(4, box.height, box.width, generator=torch.Generator().manual_seed(77))
    assert changed[box.place].all()
    assert (box.of(other) / 1000 - expected).abs().max() < 1e-2
    assert (own - other).abs().sum(0)[:, 9:].max() < 1  # of noise around 1000


def test_regions_that_leave_a_gap_are_refused(engine: Engine) -> None:
    plan = dataclasses.replace(TILES, regions=(LEFT,), draw_background=False)
    with pytest.raises(InvalidRequest, match="60"):
        latents(engine, tiled=plan)


def test_an_upscaler_enlarges_what_is_drawn_on(engine: Engine) -> None:
    small = PHOTO.resize((56, 40))
    large = small.resize((112, 80), Image.Resampling.LANCZOS)
    own: dict[str, object] = {"width": None, "height": None, "denoising_strength": 0.5}
    plan = dataclasses.replace(TILES, upscaler="Lanczos", scale=2.0)
    enlarged = latents(engine, init_image=small, tiled=plan, mask=MASK.resize((56, 40)).point(lambda x: 255), **own)
    assert torch.equal(enlarged, latents(engine, init_image=large, tiled=TILES, mask=MASK.point(lambda x: 255), **own))
