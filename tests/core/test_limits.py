import dataclasses
import math

import pytest
from PIL import Image

from inkwash.core.choices import SAMPLERS, choose, nearest, split_sampler
from inkwash.core.errors import InvalidRequest
from inkwash.core.limits import Limits, check
from inkwash.core.request import GenerateRequest, HiresPass, SoftInpainting

GOOD = GenerateRequest(prompt="a cat", width=512, height=512)


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("width", 513, "512 or 520"),
        ("height", 0, "512"),
        ("width", 10**9, "512"),
        ("steps", 0, "steps"),
        ("steps", 10**9, "steps"),
        ("batch_size", 0, "batch_size"),
        ("cfg_scale", math.nan, "cfg_scale"),
        ("cfg_scale", -1.0, "cfg_scale"),
        ("subseed_strength", 1.5, "subseed_strength"),
        ("eta", math.inf, "eta"),
        ("seed", 2**64, "seed"),
        ("clip_skip", 0, "clip_skip"),
        ("sampler", "Eulr", "Euler"),
        ("schedule", "karas", "Karras"),
        ("emphasis", "loud", "Original"),
        ("noise_source", "TPU", "CPU"),
        ("prompt", "x" * 100_001, "Shorten"),
        ("prompt", "\udcff", "UTF-8"),
        ("sigmas", (1.0, 2.0), "14.6"),
        ("sigmas", (1.0,), "14.6"),
        ("sigmas", (math.inf, 1.0), "14.6"),
        ("codeformer_weight", 1.5, "codeformer_weight"),
        ("denoising_strength", 2.0, "denoising_strength"),
        ("denoising_strength", -0.1, "denoising_strength"),
        ("mask_blur", math.nan, "mask_blur"),
        ("resize_mode", "croop", "crop and resize"),
        ("inpainting_fill", "noise", "latent noise"),
        ("refiner_switch_at", 1.5, "refiner_switch_at"),
        ("init_image", "photo.png", "inkwash.core.images.load"),
        ("guidance_start", 1.0, None),
    ],
)
def test_a_bad_field_is_named_with_a_remedy(field: str, value: object, remedy: str | None) -> None:
    request = dataclasses.replace(GOOD, **{field: value})
    if remedy is None:
        request = dataclasses.replace(request, guidance_end=0.5)
    with pytest.raises(InvalidRequest) as caught:
        check(request)
    names = {"noise_source": "noise source", "resize_mode": "resize mode", "inpainting_fill": "masked content"}
    assert names.get(field, field) in caught.value.message
    assert (remedy or "") in caught.value.remedy


@pytest.mark.parametrize(
    ("hires", "words"),
    [
        (HiresPass(scale=0.5), "hires.scale"),
        (HiresPass(scale=math.inf), "hires.scale"),
        (HiresPass(denoising_strength=2), "hires.denoising_strength"),
        (HiresPass(scale=math.nan), "hires.scale"),
        (HiresPass(steps=-1), "hires.steps"),
        (HiresPass(width=1001), "1000 or 1008"),
        (HiresPass(sampler="Eulr"), "Euler"),
        (HiresPass(schedule="Karas"), "Karras"),
    ],
)
def test_a_bad_hires_pass_is_named_with_a_remedy(hires: HiresPass, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(dataclasses.replace(GOOD, hires=hires))
    assert words in str(caught.value)


def test_a_hires_pass_larger_than_the_limit_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="1024"):
        check(dataclasses.replace(GOOD, hires=HiresPass(scale=2)), Limits(side=512))


def test_a_hires_pass_takes_its_proper_spelling() -> None:
    checked = check(dataclasses.replace(GOOD, hires=HiresPass(sampler="euler a karras", upscaler="latent (NEAREST)")))
    assert checked.hires == HiresPass(sampler="Euler a", schedule="Karras", upscaler="Latent (nearest)")


@pytest.mark.parametrize("name", ["4x-UltraSharp", "latentSharp.pth", "R-ESRGAN 4x+"])
def test_names_of_learned_upscalers_pass(name: str) -> None:
    checked = check(dataclasses.replace(GOOD, hires=HiresPass(upscaler=f" {name}")))
    assert checked.hires == HiresPass(upscaler=name)


def test_pictures_of_a_request_must_fit_together() -> None:
    photo, mask = Image.new("RGB", (64, 48)), Image.new("L", (64, 40))
    with pytest.raises(InvalidRequest, match="64x40, the picture 64x48"):
        check(dataclasses.replace(GOOD, init_image=photo, mask=mask))
    with pytest.raises(InvalidRequest, match="no picture"):
        check(dataclasses.replace(GOOD, mask=mask))
    soft = SoftInpainting(transition_contrast=0)
    with pytest.raises(InvalidRequest, match="transition_contrast"):
        check(dataclasses.replace(GOOD, init_image=photo, mask=photo, soft_inpainting=soft))


def test_names_take_their_proper_spelling() -> None:
    checked = check(dataclasses.replace(GOOD, sampler="dpm++ 2m karras", emphasis="NO NORM", seed=-5))
    assert (checked.sampler, checked.schedule, checked.emphasis) == ("DPM++ 2M", "Karras", "No norm")


def test_a_good_request_passes_unchanged() -> None:
    assert check(GOOD) == GOOD


def test_limits_are_the_callers() -> None:
    with pytest.raises(InvalidRequest, match="steps"):
        check(dataclasses.replace(GOOD, steps=21), Limits(steps=20))


def test_choose_and_nearest() -> None:
    assert choose("sampler", " euler A ", SAMPLERS) == "Euler a"
    assert nearest("dpmpp 2m", SAMPLERS)[0] == "DPM++ 2M"
    assert nearest("zzzzzz", SAMPLERS) == []
    with pytest.raises(InvalidRequest) as caught:
        choose("sampler", "zzzzzz", ("one", "two"))
    assert "one, two" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "parts"),
    [("Euler", ("Euler", "Automatic")), ("DDIM", ("DDIM", "Automatic")), ("Heun Simple", ("Heun", "Simple"))],
)
def test_split_sampler(name: str, parts: tuple[str, str]) -> None:
    assert split_sampler(name) == parts
    assert split_sampler(name, "Karras") == (name, "Karras")


@pytest.mark.parametrize(
    ("given", "meant"), [(None, None), ("", None), ("None", None), (" none ", None), (" GFPGAN ", "GFPGAN")]
)
def test_no_face_restorer_has_several_names(given: str | None, meant: str | None) -> None:
    assert check(dataclasses.replace(GOOD, restore_faces=given)).restore_faces == meant
