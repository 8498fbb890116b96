import dataclasses
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inkwash.core import infotext, infotext_edits, infotext_fields
from inkwash.core.choices import (
    EMPHASIS,
    INPAINTING_FILLS,
    NOISE_SOURCES,
    RESIZE_MODES,
    SAMPLERS,
    SCHEDULES,
    UPSCALERS,
)
from inkwash.core.errors import InvalidRequest
from inkwash.core.fingerprints import KEYS, fingerprint
from inkwash.core.request import GenerateRequest, HiresPass, SoftInpainting, VaeTiles

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


def test_face_restoration_stands_where_a1111_has_it() -> None:
    """Behind the seed; the weight, which A1111 leaves out, only where it is not the usual one."""
    request = GenerateRequest(width=64, height=64, restore_faces="CodeFormer")
    assert "Seed: 7, Face restoration: CodeFormer, Size: 64x64" in infotext.write(request, seed=7)
    told = infotext.write(dataclasses.replace(request, codeformer_weight=0.25), seed=7)
    assert told == infotext.write(request, seed=7) + ", CodeFormer weight: 0.25"
    without = dataclasses.replace(request, restore_faces=None, codeformer_weight=0.25)
    assert "ormer" not in infotext.write(without, seed=7)
    theirs = "Steps: 20, Sampler: Euler, Seed: 7, Face restoration: GFPGAN, Size: 64x64"
    assert infotext.to_request(infotext.parse(theirs)).restore_faces == "GFPGAN"


names = st.text(min_size=1, max_size=30)
unit = st.floats(0, 1)
positive = st.floats(1e-6, 1e6)
sizes = st.integers(1, 1024).map(lambda eighth: eighth * 8)


@st.composite
def requests(draw: st.DrawFn) -> GenerateRequest:
    """Any request as drawn: one picture, its seed known, sizes both given, no variation seed without strength."""
    strength = draw(st.just(0.0) | st.floats(0.001, 1))
    restorer = draw(st.none() | names)
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
        restore_faces=restorer,
        codeformer_weight=draw(unit) if restorer else 0.5,
        tiling=draw(st.booleans()),
        strict=draw(st.none() | st.booleans()),
        vae_tiles=draw(st.none() | st.builds(VaeTiles, fast=st.booleans())),
    )


@given(requests())
def test_every_field_comes_back(request: GenerateRequest) -> None:
    assert infotext.to_request(infotext.parse(infotext.write(request, version="inkwash 0"))) == request


ALL_EDITS = {
    "Denoising strength": "0.5",
    "Hires denoising strength": "0.5",
    "Hires upscale": "2",
    "Mask mode": "Inpaint not masked",
    "Inpaint area": "Only masked",
    "Soft inpainting enabled": "True",
    "SD upscale overlap": "64",
    "Keep structure": "0.5",
    "Tiled Diffusion": '{"Method": "MultiDiffusion", "NoiseInv": true}',
}


def test_every_field_of_a_request_has_a_key() -> None:
    """Batch sizes are left out: a text is one picture's."""
    source = {field.name for field in dataclasses.fields(GenerateRequest)} - {"batch_size", "batch_count"}
    source -= set(KEYS.values())  # pictures are named by hash; see test_sources
    written = {name for _, name, _ in infotext_fields.READ} | {"prompt", "negative_prompt", "sampler", "schedule"}
    written |= set(infotext_edits.read(ALL_EDITS, lambda key, text: float(text), lambda key, text: int(text)))
    assert source - {"noise_source"} == written


GREY = Image.new("L", (40, 24), 99)


@st.composite
def edits(draw: st.DrawFn) -> GenerateRequest:
    """Any request for a picture from a picture, its pictures apart."""
    masked, small = draw(st.booleans()), draw(st.booleans())
    sized, refined = draw(st.booleans()), draw(st.booleans())
    hires = HiresPass(
        scale=2.0 if sized else draw(st.floats(1, 8)),
        width=draw(sizes) if sized else 0,
        height=draw(sizes) if sized else 0,
        upscaler=draw(st.sampled_from(UPSCALERS)),
        denoising_strength=draw(unit),
        steps=draw(st.integers(0, 99)),
        sampler=draw(st.none() | st.sampled_from(SAMPLERS)),
        schedule=draw(st.none() | st.sampled_from(SCHEDULES)),
        prompt=draw(st.text()),
        negative_prompt=draw(st.text()),
        model=draw(st.none() | names),
    )
    soft = SoftInpainting(schedule_bias=draw(unit), preservation_strength=draw(unit), mask_influence=draw(unit))
    return GenerateRequest(
        seed=1,
        width=64,
        height=64,
        noise_source="CPU",
        denoising_strength=draw(unit),
        resize_mode=draw(st.sampled_from(RESIZE_MODES)),
        exact_steps=draw(st.booleans()),
        initial_noise_multiplier=draw(unit),
        noise_level=draw(st.integers(0, 999)),
        color_correction=draw(st.booleans()),
        mask_invert=masked and draw(st.booleans()),
        mask_blur=draw(unit) if masked else 4.0,
        mask_blur_y=draw(st.none() | unit) if masked else None,
        mask_round=not masked or draw(st.booleans()),
        inpainting_fill=draw(st.sampled_from(INPAINTING_FILLS)) if masked else "original",
        only_masked=masked and small,
        only_masked_padding=draw(st.integers(0, 99)) if masked and small else 32,
        soft_inpainting=soft if masked and draw(st.booleans()) else None,
        hires=hires if draw(st.booleans()) else None,
        refiner=draw(names) if refined else None,
        refiner_switch_at=draw(unit) if refined else 0.8,
        init_image=GREY,
        mask=GREY if masked else None,
    )


@given(edits())
def test_every_field_of_an_edit_comes_back(request: GenerateRequest) -> None:
    parsed = infotext.parse(infotext.write(request, version="inkwash 0"))
    assert infotext.to_request(parsed) == dataclasses.replace(request, init_image=None, mask=None)
    assert parsed["Init image hash"] == fingerprint(GREY)
    assert parsed.get("Mask hash") == (fingerprint(GREY) if request.mask is not None else None)


def test_an_edit_is_written_with_a1111s_keys() -> None:
    request = GenerateRequest(
        seed=1, width=64, height=64, init_image=GREY, mask=GREY, only_masked=True, mask_invert=True, mask_blur=4.0,
        inpainting_fill="fill", denoising_strength=0.5, refiner="r", refiner_switch_at=0.7,
    )  # fmt: skip
    text = infotext.write(request)
    assert "Denoising strength: 0.5" in text
    assert (
        "Refiner: r, Refiner switch at: 0.7, Mask mode: Inpaint not masked, Mask blur: 4, Masked content: fill, "
        "Inpaint area: Only masked, Masked area padding: 32"
    ) in text


HIRES_OF_A1111 = """a cat
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512, Model: m, \
Denoising strength: 0.7, Hires upscale: 1.5, Hires steps: 10, Hires upscaler: Latent (nearest-exact), \
Hires prompt: "a cat, [dog:fox:1.5]", Refiner: sd_xl_refiner_1.0 [7440042bbd], Refiner switch at: 0.8"""


def test_a1111s_hires_pass_is_read() -> None:
    request = infotext.to_request(infotext.parse(HIRES_OF_A1111))
    assert request.hires == HiresPass(
        scale=1.5, denoising_strength=0.7, steps=10, upscaler="Latent (nearest-exact)", prompt="a cat, [dog:fox:1.5]"
    )
    assert (request.refiner, request.refiner_switch_at) == ("sd_xl_refiner_1.0 [7440042bbd]", 0.8)
    assert request.denoising_strength == GenerateRequest().denoising_strength
    assert infotext.to_request(infotext.parse(infotext.write(request))) == request


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
