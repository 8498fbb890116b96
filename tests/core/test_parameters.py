"""The one table of parameters, and requests as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkwash.core import limits, parameters, wire
from inkwash.core.errors import InvalidRequest
from inkwash.core.limits import RANGES, Limits
from inkwash.core.parameters import GROUPS, PARAMETERS
from inkwash.core.request import GenerateRequest


def test_every_field_is_in_the_table_once() -> None:
    assert sorted(one.name for one in PARAMETERS) == sorted(field.name for field in fields(GenerateRequest))


def test_every_range_of_the_limits_is_told() -> None:
    told = {one["name"]: (one["minimum"], one["maximum"]) for one in parameters.describe(Limits(steps=77, side=800))}
    assert {name: told[name] for name, _, _ in RANGES} == {name: (low, high) for name, low, high in RANGES}
    assert told["steps"] == (1, 77)
    assert told["width"] == told["height"] == (8, 800)


@pytest.mark.parametrize("one", PARAMETERS, ids=lambda one: one.name)
def test_a_parameter_fits_its_field(one: parameters.Parameter) -> None:
    kinds = {"text": str, "choice": str, "integer": int, "number": int | float, "boolean": bool, "list": tuple}
    assert one.default is None or isinstance(one.default, kinds[one.kind])
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
)


@given(REQUESTS)
def test_a_request_comes_back_as_it_was(request_: GenerateRequest) -> None:
    assert wire.from_json(json.loads(json.dumps(wire.to_json(request_), allow_nan=False))) == request_


def test_only_what_differs_travels_and_null_is_the_default() -> None:
    assert wire.to_json(GenerateRequest()) == {}
    assert wire.from_json({one.name: None for one in PARAMETERS}) == GenerateRequest()
    assert wire.from_json({"steps": 20.0, "cfg_scale": 7}) == GenerateRequest()


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
