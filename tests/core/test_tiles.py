"""Tiles, regions, noise inversion and SD upscale as text, and what of them cannot be drawn."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inkwash.core import infotext, parameters
from inkwash.core.choices import PICTURE_UPSCALERS, REGION_BLENDS, TILE_METHODS
from inkwash.core.errors import InvalidRequest
from inkwash.core.limits import Limits, check
from inkwash.core.request import GenerateRequest, NoiseInversion, Region, SDUpscale, TiledDiffusion

GREY = Image.new("RGB", (64, 64), "grey")
UNIT = st.floats(0, 1)
REGIONS = st.builds(
    Region,
    x=UNIT,
    w=UNIT,
    prompt=st.text(),
    negative_prompt=st.text(),
    blend=st.sampled_from(REGION_BLENDS),
    weight=st.floats(0.5, 9),
    seed=st.integers(-1, 2**64 - 1),
)
UPSCALERS = st.sampled_from((*PICTURE_UPSCALERS, "4x Foo, Sharp: [v2]"))
TILED = st.builds(
    TiledDiffusion,
    method=st.sampled_from(TILE_METHODS),
    tile_width=st.integers(8, 200),
    overlap=st.integers(0, 99),
    upscaler=UPSCALERS,
    scale=st.floats(1, 8),
    regions=st.lists(REGIONS, max_size=3).map(tuple),
    draw_background=st.booleans(),
)
INVERSIONS = st.builds(NoiseInversion, steps=st.integers(1, 200), retouch=st.floats(1, 100), renoise_strength=UNIT)
REQUESTS = st.builds(
    GenerateRequest,
    seed=st.just(1),
    width=st.just(64),
    height=st.just(64),
    noise_source=st.just("CPU"),
    init_image=st.just(GREY),
    tiled=st.none() | TILED,
    noise_inversion=st.none() | INVERSIONS,
    sd_upscale=st.none() | st.builds(SDUpscale, scale=st.floats(1, 8), overlap=st.integers(0, 512), upscaler=UPSCALERS),
    keep_structure=st.none() | st.floats(0.01, 1),
)


@given(REQUESTS)
def test_every_field_comes_back_from_the_text(request: GenerateRequest) -> None:
    parsed = infotext.parse(infotext.write(request, version="Inkwash 0"))
    assert infotext.to_request(parsed) == dataclasses.replace(request, init_image=None)


def test_sd_upscale_is_written_as_a1111_writes_it() -> None:
    text = infotext.write(GenerateRequest(seed=1, init_image=GREY, sd_upscale=SDUpscale(overlap=32)))
    assert "SD upscale overlap: 32, SD upscale upscaler: Lanczos" in text


def test_structure_that_is_kept_as_by_default_is_not_written() -> None:
    plain = GenerateRequest(seed=1, init_image=GREY, keep_structure=0.0)
    assert "Keep structure" not in infotext.write(plain)
    assert "Keep structure: 0" in infotext.write(dataclasses.replace(plain, sd_upscale=SDUpscale()))


def test_the_extensions_own_text_is_read() -> None:
    """An object without quotes around it, as pictures of A1111's users have it."""
    text = (
        "a hill\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 3, Size: 2048x2048, "
        'Tiled Diffusion: {"Method": "Mixture of Diffusers", "Tile tile width": 96, "Tile tile height": 64, '
        '"Tile Overlap": 32, "Tile batch size": 8, "NoiseInv": true, "NoiseInv Steps": 30, "NoiseInv Retouch": 1}, '
        "Version: v1.6.0"
    )
    parsed = infotext.parse(text)
    assert infotext.to_request(parsed).tiled == TiledDiffusion(
        method="Mixture of Diffusers", tile_width=96, tile_height=64, overlap=32, tile_batch=8
    )
    assert infotext.to_request(parsed).noise_inversion == NoiseInversion(steps=30)
    assert parsed["Version"] == "v1.6.0"


@pytest.mark.parametrize(
    "value",
    ["x", "[1]", '{"Tile Overlap": "much"}', '{"Tile Overlap": true}', '{"Region control": 3}',
     '{"Region control": {"Region 1": 3}}', '{"Region control": {"Region 1": {"x": "left"}}}'],
)  # fmt: skip
def test_a_senseless_text_is_named(value: str) -> None:
    with pytest.raises(InvalidRequest, match="Tiled Diffusion"):
        infotext.to_request({"Tiled Diffusion": value})


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "tile": ({"tiled": TiledDiffusion(tile_width=4, overlap=2)}, "tiled.tile_width"),
    "overlap": ({"tiled": TiledDiffusion(tile_width=32, overlap=32)}, "tiled.overlap"),
    "batch": ({"tiled": TiledDiffusion(tile_batch=0)}, "tiled.tile_batch"),
    "method": ({"tiled": TiledDiffusion(method="Multi")}, "tile_method"),  # type: ignore[arg-type]
    "upscaler": ({"tiled": TiledDiffusion(upscaler="Latent"), "init_image": GREY}, "tiled.upscaler"),
    "latents": ({"sd_upscale": SDUpscale(upscaler="latent"), "init_image": GREY}, "sd_upscale.upscaler"),
    "from nothing": ({"tiled": TiledDiffusion(upscaler="Lanczos")}, "tiled.upscaler"),
    "region": ({"tiled": TiledDiffusion(regions=(Region(x=1.5),))}, "tiled.regions.x"),
    "nan": ({"tiled": TiledDiffusion(regions=(Region(weight=math.nan),))}, "tiled.regions.weight"),
    "blend": ({"tiled": TiledDiffusion(regions=(Region(blend="Over"),))}, "region_blend"),  # type: ignore[arg-type]
    "many": ({"tiled": TiledDiffusion(regions=(Region(),) * 65)}, "tiled.regions"),
    "words": ({"tiled": TiledDiffusion(regions=(Region(prompt="x" * 100_001),))}, "tiled.regions.prompt"),
    "tiling": ({"tiled": TiledDiffusion(), "tiling": True}, "tiled"),
    "large": ({"tiled": TiledDiffusion(upscaler="Lanczos", scale=16), "init_image": GREY}, "tiled.scale"),
    "inversion": ({"noise_inversion": NoiseInversion()}, "noise_inversion"),
    "inverted": ({"noise_inversion": NoiseInversion(steps=0), "init_image": GREY}, "noise_inversion.steps"),
    "upscale": ({"sd_upscale": SDUpscale()}, "sd_upscale"),
    "masked": ({"sd_upscale": SDUpscale(), "init_image": GREY, "mask": GREY}, "mask"),
    "scale": ({"sd_upscale": SDUpscale(scale=0.5), "init_image": GREY}, "sd_upscale.scale"),
    "structure": ({"keep_structure": 1.5}, "keep_structure"),
}


@pytest.mark.parametrize(("changes", "field"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_drawn_is_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(GenerateRequest(**changes), Limits(side=1000))  # type: ignore[arg-type]
    assert caught.value.field == field


def test_names_are_put_into_their_spelling() -> None:
    region = Region(blend="foreground")  # type: ignore[arg-type]
    tiled = TiledDiffusion(method="multidiffusion", upscaler="lanczos", regions=(region,))  # type: ignore[arg-type]
    checked = check(GenerateRequest(init_image=GREY, tiled=tiled)).tiled
    assert checked == TiledDiffusion(upscaler="Lanczos", regions=(Region(blend="Foreground"),))


def test_names_of_files_pass_for_upscalers() -> None:
    """What files there are is for others to know."""
    tiled, upscale = TiledDiffusion(upscaler=" 4x-Foo "), SDUpscale(upscaler="NEAREST")
    checked = check(GenerateRequest(init_image=GREY, tiled=tiled, sd_upscale=upscale))
    assert checked.tiled is not None
    assert checked.sd_upscale is not None
    assert (checked.tiled.upscaler, checked.sd_upscale.upscaler) == ("4x-Foo", "Nearest")
    fields = {one.name: one for one in parameters.PARAMETERS}
    assert [fields[f"{group}.upscaler"].source for group in ("tiled", "sd_upscale", "hires")] == ["upscalers"] * 3
