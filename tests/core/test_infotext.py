import dataclasses
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkwash.core import infotext, infotext_fields
from inkwash.core.choices import EMPHASIS, NOISE_SOURCES, SAMPLERS, SCHEDULES
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest

# As A1111 1.10 writes it.
A1111 = """photo of a (cat:1.2), best quality
masterpiece
Negative prompt: lowres, bad anatomy
second line
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 965400086, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE hash: 735e4c3a44, VAE: "vae, of many: names", \
Clip skip: 2, Lora hashes: "one: 6d3a72f5f2a4, two: c0ffee", Version: v1.10.0"""


def test_parse_reads_an_a1111_text() -> None:
    parsed = infotext.parse(A1111)
    assert parsed.prompt == "photo of a (cat:1.2), best quality\nmasterpiece"
    assert parsed.negative_prompt == "lowres, bad anatomy\nsecond line"
    assert parsed["Size-1"] == "512"
    assert parsed["Size-2"] == "768"
    assert parsed["VAE"] == "vae, of many: names"
    assert parsed["Lora hashes"] == "one: 6d3a72f5f2a4, two: c0ffee"
    assert list(parsed.parameters)[:5] == ["Steps", "Sampler", "Schedule type", "CFG scale", "Seed"]
    assert parsed["Version"] == "v1.10.0"


def test_a_last_line_with_fewer_than_three_pairs_is_prose() -> None:
    parsed = infotext.parse("a cat\nSteps: 20, Sampler: Euler")
    assert parsed.prompt == "a cat\nSteps: 20, Sampler: Euler"
    assert parsed.parameters == {}


def test_to_request_maps_every_known_key() -> None:
    request = infotext.to_request(infotext.parse(A1111))
    assert request == GenerateRequest(
        prompt="photo of a (cat:1.2), best quality\nmasterpiece",
        negative_prompt="lowres, bad anatomy\nsecond line",
        steps=20,
        sampler="DPM++ 2M",
        schedule="Karras",
        cfg_scale=7.0,
        seed=965400086,
        width=512,
        height=768,
        model="v1-5-pruned-emaonly",
        vae="vae, of many: names",
        clip_skip=2,
        noise_source="GPU",  # A1111 leaves RNG out when it is the card's
    )


@pytest.mark.parametrize(
    ("name", "sampler", "schedule"),
    [
        ("DPM++ 2M Karras", "DPM++ 2M", "Karras"),
        ("DPM++ 2M SDE Heun Exponential", "DPM++ 2M SDE Heun", "Exponential"),
        ("DPM++ 2M SGM Uniform", "DPM++ 2M", "SGM Uniform"),
        ("DDIM", "DDIM", "Automatic"),
        ("Euler a", "Euler a", "Automatic"),
    ],
)
def test_older_texts_name_sampler_and_schedule_together(name: str, sampler: str, schedule: str) -> None:
    request = infotext.to_request(infotext.parse(f"x\nSteps: 20, Sampler: {name}, Seed: 1, CFG scale: 7"))
    assert (request.sampler, request.schedule) == (sampler, schedule)


def test_write_is_laid_out_as_a1111_does() -> None:
    request = GenerateRequest(
        prompt="a cat", negative_prompt="dog", steps=20, sampler="Euler a", cfg_scale=7.5, width=512, height=768,
        clip_skip=2, eta=0.5, tiling=True,
    )  # fmt: skip
    text = infotext.write(
        request, seed=7, model_name="a, b", model_hash="0123456789", version="inkwash 1", extras={"Hires upscale": "2"}
    )
    assert text == (
        "a cat\nNegative prompt: dog\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.5, Seed: 7, Size: 512x768, "
        'Model hash: 0123456789, Model: "a, b", Clip skip: 2, RNG: CPU, Tiling: True, Eta: 0.5, '
        "Hires upscale: 2, Version: inkwash 1"
    )


names = st.text(min_size=1, max_size=30)
unit = st.floats(0, 1)
positive = st.floats(1e-6, 1e6)
sizes = st.integers(1, 1024).map(lambda eighth: eighth * 8)


@st.composite
def requests(draw: st.DrawFn) -> GenerateRequest:
    """Any request as drawn: one picture, its seed known, sizes both given, no variation seed without strength."""
    strength = draw(st.just(0.0) | st.floats(0.001, 1))
    resized = draw(st.booleans())
    return GenerateRequest(
        prompt=draw(st.text()),
        negative_prompt=draw(st.text()),
        styles=tuple(draw(st.lists(st.text(), max_size=3))),
        model=draw(names),
        vae=draw(st.none() | names),
        clip_skip=draw(st.integers(1, 12)),
        emphasis=draw(st.sampled_from(EMPHASIS)),
        width=draw(sizes),
        height=draw(sizes),
        seed=draw(st.integers(0, 2**64 - 1)),
        subseed=draw(st.integers(0, 2**64 - 1)) if strength else -1,
        subseed_strength=strength,
        seed_resize_from_w=draw(sizes) if resized else 0,
        seed_resize_from_h=draw(sizes) if resized else 0,
        noise_source=draw(st.sampled_from(NOISE_SOURCES)),
        ensd=draw(st.integers(-(2**31), 2**31)),
        steps=draw(st.integers(1, 1000)),
        sampler=draw(st.sampled_from(SAMPLERS)),
        schedule=draw(st.sampled_from(SCHEDULES)),
        sigmas=draw(st.none() | st.lists(positive, min_size=1).map(tuple)),
        sigma_min=draw(st.none() | positive),
        sigma_max=draw(st.none() | positive),
        rho=draw(st.none() | positive),
        discard_penultimate_sigma=draw(st.none() | st.booleans()),
        eta=draw(st.none() | unit),
        s_churn=draw(st.floats(0, 100)),
        s_tmin=draw(st.floats(0, 100)),
        s_tmax=draw(st.just(math.inf) | st.floats(0, 100)),
        s_noise=draw(unit),
        cfg_scale=draw(st.floats(0, 1000)),
        cfg_rescale=draw(unit),
        guidance_start=draw(unit),
        guidance_end=draw(unit),
        ngms=draw(unit),
        ngms_all_steps=draw(st.booleans()),
        skip_early_cfg=draw(unit),
        tiling=draw(st.booleans()),
        strict=draw(st.none() | st.booleans()),
    )


@given(requests())
def test_every_field_comes_back(request: GenerateRequest) -> None:
    assert infotext.to_request(infotext.parse(infotext.write(request, version="inkwash 0"))) == request


def test_every_field_of_a_request_has_a_key() -> None:
    """Batch sizes are left out: a text is one picture's."""
    source = {field.name for field in dataclasses.fields(GenerateRequest)} - {"batch_size", "batch_count"}
    written = {name for _, name, _ in infotext_fields.READ} | {"prompt", "negative_prompt", "sampler", "schedule"}
    assert source - {"noise_source"} == written


@given(st.text())
def test_quote_and_unquote_are_inverse(value: str) -> None:
    assert infotext.unquote(infotext.quote(value)) == value


@given(st.text())
def test_parse_never_fails(text: str) -> None:
    parsed = infotext.parse(text)
    assert set(parsed) >= {"Prompt", "Negative prompt"}


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["a ", "a:", 'aa:"', '\\"', "aa: b, ", "a-/ ", ": ,", '"aa:\\"'])
def test_parse_is_linear_in_a_hostile_text(piece: str) -> None:
    """100 kB in well under a second; a quadratic reader takes minutes."""
    text = "x\n" + piece * (100_000 // len(piece))
    began = time.perf_counter()
    infotext.parse(text)
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize("pair", ["Steps: many", "CFG scale: nan", "Size-1: wide", "Tiling: perhaps", 'Styles: "[1]"'])
def test_a_senseless_value_is_named(pair: str) -> None:
    with pytest.raises(InvalidRequest, match=pair.split(":")[0]):
        infotext.to_request(infotext.parse(f"x\nA b: 1, C d: 2, {pair}"))
