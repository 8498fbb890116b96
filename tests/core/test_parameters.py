"""The one table of parameters, and requests as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inkwash.core import limits, parameters, wire
from inkwash.core.errors import InvalidRequest
from inkwash.core.limits import HIRES_RANGES, RANGES, SOFT_RANGES, TILED_RANGES, TILES_RANGES, Limits
from inkwash.core.parameter import NESTED, REGIONS, SWITCH
from inkwash.core.parameters import BY_NAME, GROUPS, PARAMETERS
from inkwash.core.request import (
    GenerateRequest,
    HiresPass,
    NoiseInversion,
    Region,
    SDUpscale,
    SoftInpainting,
    TiledDiffusion,
    VaeTiles,
)


def test_every_field_is_in_the_table_once() -> None:
    names = [field.name for field in fields(GenerateRequest) if field.name not in NESTED]
    for outer, default in NESTED.items():
        names += [f"{outer}.{SWITCH}", *(f"{outer}.{field.name}" for field in fields(default))]
    assert sorted(one.name for one in PARAMETERS) == sorted(names)
    inside = [name for name in BY_NAME if name.startswith(f"{REGIONS}.")]
    assert sorted(inside) == sorted(f"{REGIONS}.{field.name}" for field in fields(Region))


def test_every_range_of_the_limits_is_told() -> None:
    told = {one["name"]: (one["minimum"], one["maximum"]) for one in parameters.describe(Limits(steps=77, side=800))}
    assert {name: told[name] for name, _, _ in RANGES} == {name: (low, high) for name, low, high in RANGES}
    assert {name: told[f"hires.{name}"] for name, _, _ in HIRES_RANGES} == {one[0]: one[1:] for one in HIRES_RANGES}
    assert {name: told[f"soft_inpainting.{name}"] for name, _, _ in SOFT_RANGES} == {
        one[0]: one[1:] for one in SOFT_RANGES
    }
    assert {name: told[f"tiled.{name}"] for name, _, _ in TILED_RANGES} == {one[0]: one[1:] for one in TILED_RANGES}
    assert {name: told[f"vae_tiles.{name}"] for name, _, _ in TILES_RANGES} == {one[0]: one[1:] for one in TILES_RANGES}
    assert told["steps"] == (1, 77)
    assert told["hires.steps"] == (0, 77)
    assert told["hires.width"] == (0, 800)
    assert told["width"] == told["height"] == (8, 800)


@pytest.mark.parametrize("one", BY_NAME.values(), ids=lambda one: one.name)
def test_a_parameter_fits_its_field(one: parameters.Parameter) -> None:
    kinds = {"text": str, "choice": str, "integer": int, "number": int | float, "boolean": bool, "list": tuple}
    kinds |= {"regions": tuple}
    assert one.default is None or (one.kind != "image" and isinstance(one.default, kinds[one.kind]))
    assert one.group in GROUPS
    assert all((one.label.en, one.label.zh, one.help.en, one.help.zh))
    assert one.help.en.endswith(".")
    assert one.help.zh.endswith("。")
    assert (one.kind == "choice") == bool(one.choices or (one.source and one.kind != "list"))
    lowest, highest = one.range(Limits())
    if isinstance(one.default, int | float) and one.name not in ("seed", "subseed"):
        assert lowest is None or one.default >= lowest
        assert highest is None or one.default <= highest


def test_the_table_is_json() -> None:
    json.dumps([parameters.describe(Limits()), parameters.json_schema(Limits())], allow_nan=False)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
REQUESTS = st.builds(
    GenerateRequest,
    prompt=st.text(),
    styles=st.lists(st.text()).map(tuple),
    seed=st.integers(),
    steps=st.integers(),
    width=st.none() | st.integers(),
    sigmas=st.none() | st.lists(NUMBERS).map(tuple),
    eta=st.none() | NUMBERS,
    cfg_scale=NUMBERS,
    s_tmax=NUMBERS | st.just(math.inf),
    strict=st.none() | st.booleans(),
    emphasis=st.sampled_from(["Original", "None"]),
    hires=st.none() | st.builds(HiresPass, scale=NUMBERS, steps=st.integers(), sampler=st.none() | st.text()),
    soft_inpainting=st.none() | st.builds(SoftInpainting, mask_influence=NUMBERS),
    vae_tiles=st.none() | st.builds(VaeTiles, decoder_tile=st.integers(), fast=st.none() | st.booleans()),
    tiled=st.none()
    | st.builds(
        TiledDiffusion,
        overlap=st.integers(),
        upscaler=st.none() | st.text(),
        draw_background=st.booleans(),
        regions=st.lists(st.builds(Region, x=NUMBERS, prompt=st.text(), seed=st.integers()), max_size=3).map(tuple),
    ),
    noise_inversion=st.none() | st.builds(NoiseInversion, retouch=NUMBERS),
    sd_upscale=st.none() | st.builds(SDUpscale, scale=NUMBERS),
    keep_structure=st.none() | NUMBERS,
    restore_faces=st.none() | st.text(),
    codeformer_weight=NUMBERS,
)


@given(REQUESTS)
def test_a_request_comes_back_as_it_was(request_: GenerateRequest) -> None:
    assert wire.from_json(json.loads(json.dumps(wire.to_json(request_), allow_nan=False))) == request_


def test_only_what_differs_travels_and_null_is_the_default() -> None:
    assert wire.to_json(GenerateRequest()) == {}
    assert wire.from_json({one.name: None for one in PARAMETERS if "." not in one.name}) == GenerateRequest()
    assert wire.from_json({"steps": 20.0, "cfg_scale": 7}) == GenerateRequest()


def test_an_object_that_is_there_is_on_unless_it_says_otherwise() -> None:
    assert wire.from_json({"hires": {}}).hires == HiresPass()
    assert wire.from_json({"hires": {"enabled": True, "scale": 3}}).hires == HiresPass(scale=3)
    assert wire.from_json({"hires": {"enabled": False, "scale": 3}}) == GenerateRequest()
    assert wire.to_json(GenerateRequest(hires=HiresPass())) == {"hires": {"enabled": True}}


def test_pictures_travel_as_hashes() -> None:
    picture, digest = Image.new("RGB", (2, 2)), "0a" * 32
    values = wire.to_json(GenerateRequest(init_image=picture), lambda image: digest)
    assert values == {"init_image": {"sha256": digest}}
    assert wire.from_json(values, lambda found: {digest: picture}[found]).init_image is picture
    assert wire.from_json(values) == GenerateRequest()


@pytest.mark.parametrize(
    ("values", "field", "word"),
    [
        ({"stesp": 3}, "stesp", "steps"),
        ({"steps": 2.5}, "steps", "whole number"),
        ({"steps": True}, "steps", "true"),
        ({"prompt": ["x"]}, "prompt", "list"),
        ({"cfg_scale": "7"}, "cfg_scale", "'7'"),
        ({"cfg_scale": 10**400}, "cfg_scale", "2^64"),
        ({"cfg_scale": math.nan}, "cfg_scale", "number"),
        ({"tiling": "yes"}, "tiling", "true or false"),
        ({"sigmas": 3}, "sigmas", "list of numbers"),
        ({"styles": "ink"}, "styles", "list of texts"),
        ({"styles": [1]}, "styles", "list"),
        ({"hires": 2}, "hires", "object"),
        ({"hires.scale": 2}, "hires.scale", "hires"),
        ({"hires": {"scael": 2}}, "hires.scael", "hires.scale"),
        ({"hires": {"scale": "2"}}, "hires.scale", "'2'"),
        ({"soft_inpainting": {"enabled": 1}}, "soft_inpainting.enabled", "true or false"),
        ({"mask": "m"}, "mask", "picture"),
        ({"tiled": {"regions": {}}}, "tiled.regions", "list of objects"),
        ({"tiled": {"regions": [3]}}, "tiled.regions", "object"),
        ({"tiled": {"regions": [{"X": 0}]}}, "tiled.regions.X", "tiled.regions.x"),
        ({"tiled": {"regions": [{"prompt": 1}]}}, "tiled.regions.prompt", "text"),
        ({"init_image": {"sha256": "../x"}}, "init_image", "picture"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, object], field: str, word: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        wire.from_json(values)
    assert caught.value.field == field
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"steps": 0}, "steps"),
        ({"width": 12}, "width"),
        ({"width": 0}, "width"),
        ({"sampler": "x"}, "sampler"),
        ({"noise_source": "TPU"}, "noise_source"),
        ({"guidance_start": 1, "guidance_end": 0}, "guidance_start"),
        ({"sigma_min": 3, "sigma_max": 2}, "sigma_min"),
        ({"sigmas": [1, 2]}, "sigmas"),
        ({"prompt": "x" * 100_001}, "prompt"),
    ],
)
def test_the_limits_name_the_field_too(values: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        limits.check(wire.from_json(values))
    assert caught.value.field == field
