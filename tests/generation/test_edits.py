"""Pictures from pictures on a tiny model: strengths, masks, hires pass, refiner, and texts that draw them again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import inkwash
from inkwash.core import images
from inkwash.core.choices import UPSCALERS
from inkwash.core.errors import InvalidRequest
from inkwash.core.progress import Event, Started, Step
from inkwash.core.request import GenerateRequest, HiresPass, Result, SoftInpainting
from inkwash.diffusion import SAMPLERS
from inkwash.generation.engine import Engine

RANDOM = np.random.default_rng(1)
PHOTO = Image.fromarray(RANDOM.integers(0, 256, (8, 12, 3), dtype=np.uint8)).resize((96, 64), Image.Resampling.BICUBIC)
MASK = Image.new("L", PHOTO.size)
MASK.paste(255, (24, 16, 60, 45))  # not on the grid of latents
OUTSIDE = np.asarray(MASK) == 0
REQUEST = GenerateRequest(
    prompt="a (cute:1.2) cat, [sitting:running:2]",
    negative_prompt="blurry",
    seed=5,
    steps=4,
    model="tiny",
    init_image=PHOTO,
    denoising_strength=0.6,
)


def draw(engine: Engine, **changes: object) -> Result:
    return engine.generate(dataclasses.replace(REQUEST, **changes))  # type: ignore[arg-type]


def array(image: Image.Image) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(image, dtype=np.int16)


def calls(engine: Engine, request: GenerateRequest) -> int:
    events: list[Event] = []
    engine.generate(request, events.append)
    steps = [event for event in events if isinstance(event, Step)]
    (started,) = (event for event in events if isinstance(event, Started))
    assert [step.step for step in steps] == list(range(1, started.steps + 1))
    return started.steps


def test_the_size_is_the_pictures_own(engine: Engine) -> None:
    assert draw(engine).images[0].size == (96, 64)
    assert draw(engine, init_image=PHOTO.resize((99, 70))).images[0].size == (96, 64)
    assert draw(engine, width=48).images[0].size == (48, 32)
    assert draw(engine, height=32).images[0].size == (48, 32)


def test_strength_zero_returns_the_picture_within_the_autoencoders_error(engine: Engine) -> None:
    model = engine.model("tiny")
    pixels = torch.from_numpy(np.array(PHOTO, dtype=np.float32) / 255).permute(2, 0, 1)
    expected = model.decode(model.encode(pixels))
    result = draw(engine, denoising_strength=0.0)
    assert np.abs(array(result.images[0]) - (expected * 255).round().permute(1, 2, 0).numpy()).max() == 0
    assert calls(engine, dataclasses.replace(REQUEST, denoising_strength=0.0)) == 0


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M SDE", "DDIM", "UniPC", "DPM2"])
def test_strength_one_equals_text_to_picture(engine: Engine, sampler: str) -> None:
    one = draw(engine, denoising_strength=1.0, sampler=sampler)
    plain = draw(engine, init_image=None, width=96, height=64, sampler=sampler)
    assert torch.equal(one.latents, plain.latents)
    assert array(one.images[0]).tobytes() == array(plain.images[0]).tobytes()


@pytest.mark.parametrize(
    ("strength", "exact", "steps"),
    [(0.75, False, 16), (0.5, False, 11), (0.04, False, 1), (0.001, False, 1), (1.0, False, 20), (0.999, False, 20),
     (0.5, True, 20), (0.3, True, 20), (1.0, True, 20)],
)  # fmt: skip
def test_steps_are_counted_as_a1111_does(engine: Engine, strength: float, exact: bool, steps: int) -> None:
    """int(min(strength, .999) * steps) + 1 of them."""
    request = dataclasses.replace(
        REQUEST, steps=20, denoising_strength=strength, exact_steps=exact, width=32, height=32, sampler="Euler"
    )
    assert calls(engine, request) == steps


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_from_a_picture(engine: Engine, sampler: str) -> None:
    cfg = 1.0 if sampler == "DPM adaptive" else 3.0
    result = draw(engine, sampler=sampler, denoising_strength=0.4, cfg_scale=cfg, width=32, height=32)
    assert torch.isfinite(result.latents).all()


def test_a_picture_never_depends_on_its_batch(engine: Engine) -> None:
    three = draw(engine, batch_size=3, mask=MASK, inpainting_fill="latent noise")
    assert torch.equal(three.latents[1:2], draw(engine, seed=6, mask=MASK, inpainting_fill="latent noise").latents)


@pytest.mark.parametrize("mode", ["just resize", "crop and resize", "resize and fill", "latent"])
def test_every_resize_mode_draws_at_the_size(engine: Engine, mode: str) -> None:
    assert draw(engine, resize_mode=mode, width=40, height=64).images[0].size == (40, 64)


def test_color_correction_brings_the_pictures_colours(engine: Engine) -> None:
    from inkwash.imaging.colour import to_lab

    wanted = to_lab(np.asarray(PHOTO))[..., 1:].mean((0, 1))
    plain, corrected = (
        to_lab(np.asarray(draw(engine, color_correction=on).images[0]))[..., 1:].mean((0, 1)) for on in (False, True)
    )
    assert np.abs(corrected - wanted).max() < np.abs(plain - wanted).max() / 3


@pytest.mark.parametrize("fill", ["fill", "original", "latent noise", "latent nothing"])
@pytest.mark.parametrize("only_masked", [False, True])
@pytest.mark.parametrize("model", ["tiny", "tiny-inpainting"])
def test_what_is_not_masked_comes_back_bit_for_bit(engine: Engine, fill: str, only_masked: bool, model: str) -> None:
    result = draw(engine, mask=MASK, inpainting_fill=fill, only_masked=only_masked, model=model, width=96, height=64)
    before, after = array(PHOTO), array(result.images[0])
    assert after.shape == before.shape
    assert (after[OUTSIDE] == before[OUTSIDE]).all()
    assert np.abs(after - before)[~OUTSIDE].mean() > 2


@pytest.mark.parametrize("blur", [0.0, 4.0, 12.0])
@pytest.mark.parametrize("soft", [None, SoftInpainting()])
def test_no_blur_and_no_softness_reaches_outside_of_the_mask(
    engine: Engine, blur: float, soft: SoftInpainting | None
) -> None:
    after = array(draw(engine, mask=MASK, mask_blur=blur, soft_inpainting=soft).images[0])
    assert (after[OUTSIDE] == array(PHOTO)[OUTSIDE]).all()
    assert (after != array(PHOTO)).any()


def test_greys_of_a_mask_mix_where_they_are_to(engine: Engine) -> None:
    """A half-grey mask at no blur: each latent is the mean of old and new, and all of the new is pasted."""
    half = Image.new("L", PHOTO.size, 128)
    half.paste(0, (0, 0, 48, 64))
    rounded, mixed = (draw(engine, mask=half, mask_blur=0.0, mask_round=way) for way in (True, False))
    assert not torch.equal(rounded.latents, mixed.latents)
    one = {"mask": half, "mask_blur": 0.0, "steps": 1, "sampler": "Euler", "denoising_strength": 0.6}
    own = draw(engine, denoising_strength=0.0).latents[0]
    old_and_new = draw(engine, **one, mask_round=True).latents[0], draw(engine, **one, mask_round=False).latents[0]
    share = 128 / 255
    wanted = own * (1 - share**2) + old_and_new[0] * share**2  # the only prediction is mixed, and the result
    assert torch.allclose(old_and_new[1][:, :, 6:], wanted[:, :, 6:], atol=1e-4)
    after = array(mixed.images[0])
    assert (after[:, :48] == array(PHOTO)[:, :48]).all()


def test_a_latent_mask_decides_what_is_drawn_and_the_mask_what_is_pasted(engine: Engine) -> None:
    left = Image.new("L", PHOTO.size)
    left.paste(255, (0, 0, 48, 64))
    both = draw(engine, mask=MASK, latent_mask=left)
    assert torch.equal(both.latents, draw(engine, mask=left).latents)
    after = array(both.images[0])
    assert (after[OUTSIDE] == array(PHOTO)[OUTSIDE]).all()
    assert (after[~OUTSIDE] != array(PHOTO)[~OUTSIDE]).any()


def test_an_inverted_mask_redraws_the_rest(engine: Engine) -> None:
    after = array(draw(engine, mask=MASK, mask_invert=True).images[0])
    assert (after[~OUTSIDE] == array(PHOTO)[~OUTSIDE]).all()
    assert (after[OUTSIDE] != array(PHOTO)[OUTSIDE]).any()


def test_fills_start_from_different_latents(engine: Engine) -> None:
    fills = ("fill", "original", "latent noise", "latent nothing")
    results = [draw(engine, mask=MASK, inpainting_fill=fill).latents for fill in fills]
    assert all(not torch.equal(a, b) for i, a in enumerate(results) for b in results[:i])


def test_the_mask_blends_every_prediction(engine: Engine) -> None:
    """Far from the mask the latents are the picture's own, exactly."""
    own = draw(engine, denoising_strength=0.0).latents[0]
    drawn = draw(engine, mask=MASK).latents[0]
    assert torch.equal(drawn[:, :, 8:], own[:, :, 8:])
    assert not torch.equal(drawn[:, 3:5, 4:7], own[:, 3:5, 4:7])


def test_only_masked_keeps_the_pictures_size_and_draws_at_full_size(engine: Engine) -> None:
    result = draw(engine, mask=MASK, only_masked=True, only_masked_padding=4, width=64, height=64)
    assert result.images[0].size == PHOTO.size
    assert result.latents.shape == (1, 4, 8, 8)


def step_across(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> float:  # type: ignore[type-arg]
    """How much the mean colour steps at the left and right border of the mask's box, beyond what the picture has."""
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max()
    change = (after - before)[top:bottom].mean(0)
    return float(max(np.abs(change[left] - change[left - 1]).max(), np.abs(change[right] - change[right + 1]).max()))


@pytest.mark.parametrize("only_masked", [False, True])
def test_there_is_no_seam_at_the_border(engine: Engine, only_masked: bool) -> None:
    """A region redrawn at strength 0: the tiny autoencoder, which is random, changes it by tens of levels inside."""
    after = array(draw(engine, mask=MASK, denoising_strength=0.0, mask_blur=8.0, only_masked=only_masked).images[0])
    inside = np.abs((after - array(PHOTO))[~OUTSIDE]).mean()
    assert inside > 5
    assert step_across(array(PHOTO), after, ~OUTSIDE) < inside / 2


HIRES = GenerateRequest(
    prompt="a cat, [sitting:running:1.5]", negative_prompt="blurry", seed=5, steps=4, width=64, height=48, model="tiny"
)


@pytest.mark.parametrize("upscaler", UPSCALERS)
def test_every_upscaler_draws_the_second_pass(engine: Engine, upscaler: str) -> None:
    request = dataclasses.replace(HIRES, hires=HiresPass(scale=1.5, upscaler=upscaler, steps=2))
    result = engine.generate(request)
    assert result.images[0].size == (96, 72)
    assert torch.isfinite(result.latents).all()


@pytest.mark.parametrize(
    ("hires", "size"),
    [
        (HiresPass(scale=1.7), (104, 80)),
        (HiresPass(width=128), (128, 96)),
        (HiresPass(height=96), (128, 96)),
        (HiresPass(width=128, height=128), (128, 128)),
        (HiresPass(width=128, height=64), (128, 64)),
    ],
)
def test_the_second_pass_has_the_size_a1111_gives_it(engine: Engine, hires: HiresPass, size: tuple[int, int]) -> None:
    result = engine.generate(dataclasses.replace(HIRES, hires=dataclasses.replace(hires, denoising_strength=0.0)))
    assert result.images[0].size == size


def test_a_second_pass_without_strength_is_the_enlarged_first(engine: Engine) -> None:
    first = engine.generate(dataclasses.replace(HIRES, prompt="a cat")).latents
    hires = HiresPass(denoising_strength=0.0, upscaler="Latent (bicubic)")
    second = engine.generate(dataclasses.replace(HIRES, prompt="a cat", hires=hires)).latents
    expected = torch.nn.functional.interpolate(first, scale_factor=2, mode="bicubic")
    assert torch.equal(second, expected)


def test_the_second_pass_is_picture_to_picture_from_the_same_seed(engine: Engine) -> None:
    """Nearest in latents, full strength: text to picture at the larger size, of the second pass's own settings."""
    hires = HiresPass(denoising_strength=1.0, steps=3, sampler="Euler a", prompt="a dog", upscaler="Latent (nearest)")
    second = engine.generate(dataclasses.replace(HIRES, hires=hires)).latents
    plain = dataclasses.replace(HIRES, prompt="a dog", steps=3, sampler="Euler a", width=128, height=96)
    assert torch.equal(second, engine.generate(plain).latents)


@pytest.mark.parametrize(("strength", "steps", "drawn"), [(0.5, 0, 4), (0.3, 7, 7), (0.999, 3, 3)])
def test_the_second_pass_makes_exactly_its_steps(engine: Engine, strength: float, steps: int, drawn: int) -> None:
    hires = HiresPass(denoising_strength=strength, steps=steps, scale=1)
    assert calls(engine, dataclasses.replace(HIRES, hires=hires)) == 4 + drawn


def test_prompt_editing_knows_the_second_pass(engine: Engine) -> None:
    """[a:b:1.5] acts in the middle of the second pass, [a:b:400] never."""

    def second(prompt: str) -> torch.Tensor:
        hires = HiresPass(scale=1, steps=4)
        return engine.generate(dataclasses.replace(HIRES, prompt=prompt, hires=hires)).latents

    assert torch.equal(second("a [cat:dog:400]"), second("a cat"))
    assert not torch.equal(second("a [cat:dog:1.5]"), second("a cat"))
    first = engine.generate(dataclasses.replace(HIRES, prompt="a [cat:dog:1.5]")).latents
    assert torch.equal(first, engine.generate(dataclasses.replace(HIRES, prompt="a cat")).latents)


def test_the_second_pass_can_have_a_model_of_its_own(engine: Engine) -> None:
    hires = HiresPass(denoising_strength=1.0, scale=1, upscaler="Latent (nearest)", model="tiny-v")
    result = engine.generate(dataclasses.replace(HIRES, hires=hires))
    plain = engine.generate(dataclasses.replace(HIRES, prompt="a cat, sitting", model="tiny-v"))
    same = engine.generate(dataclasses.replace(HIRES, prompt="a cat, sitting", hires=hires))
    assert torch.equal(same.latents, plain.latents)
    assert "Hires checkpoint: tiny-v" in result.infotexts[0]


def test_a_refiner_takes_over_after_its_fraction_of_the_steps(engine: Engine) -> None:
    def refined(at: float, model: str = "tiny-v") -> torch.Tensor:
        request = dataclasses.replace(HIRES, sampler="Euler", refiner=model, refiner_switch_at=at)
        return engine.generate(request).latents

    def plain(model: str) -> torch.Tensor:
        return engine.generate(dataclasses.replace(HIRES, sampler="Euler", model=model)).latents

    assert torch.equal(refined(1.0), plain("tiny"))
    assert torch.equal(refined(0.0), plain("tiny-v"))
    assert torch.equal(refined(0.5, "tiny"), plain("tiny"))
    half = refined(0.5)
    assert not torch.equal(half, plain("tiny"))
    assert torch.equal(half, refined(0.26))  # the third of four calls
    assert not torch.equal(half, refined(0.25))


EDITS: dict[str, dict[str, object]] = {
    "img2img": {},
    "resized": {"width": 40, "height": 64, "resize_mode": "resize and fill", "exact_steps": True},
    "latent": {"width": 40, "height": 64, "resize_mode": "latent", "initial_noise_multiplier": 0.9},
    "colours": {"color_correction": True, "sampler": "DPM++ 2M SDE"},
    "inpaint": {"mask": MASK, "inpainting_fill": "fill", "mask_blur": 2.5},
    "inverted": {"mask": MASK, "mask_invert": True, "inpainting_fill": "latent nothing"},
    "only masked": {"mask": MASK, "only_masked": True, "only_masked_padding": 8, "width": 64, "height": 64},
    "greys": {"mask": MASK.resize((24, 16)).resize((96, 64)), "mask_round": False, "mask_blur_y": 1.0},
    "latent mask": {"mask": MASK, "latent_mask": Image.new("L", PHOTO.size, 255)},
    "soft": {"mask": MASK.resize((24, 16)).resize((96, 64)), "soft_inpainting": SoftInpainting(mask_influence=0.3)},
    "nine channels": {"mask": MASK, "model": "tiny-inpainting", "denoising_strength": 1.0},
    "hires": {"init_image": None, "width": 64, "height": 48, "hires": HiresPass(scale=1.5, steps=2, prompt="a dog, b")},
    "both": {"hires": HiresPass(width=128, height=96, denoising_strength=0.4, sampler="Euler a", schedule="Karras")},
    "refiner": {"init_image": None, "width": 64, "height": 48, "refiner": "tiny-v", "refiner_switch_at": 0.5},
    "models": {"refiner": "tiny-v", "hires": HiresPass(scale=1, model="tiny-v", upscaler="Lanczos", steps=2)},
    "batch": {"batch_size": 2, "mask": MASK, "inpainting_fill": "latent noise"},
}  # fmt: skip


@pytest.mark.parametrize("changes", EDITS.values(), ids=EDITS)
def test_the_metadata_draws_the_picture_again(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    monkeypatch.setenv("INKWASH_OUTPUTS_DIR", str(tmp_path / "outputs"))
    PHOTO.save(tmp_path / "photo.png")
    for field in ("mask", "latent_mask"):
        if isinstance(mask := changes.get(field), Image.Image):
            mask.save(tmp_path / f"{field}.png")
    result = draw(engine, **changes)
    for index, (image, text) in enumerate(zip(result.images, result.infotexts, strict=True)):
        path = tmp_path / f"result-{index}.png"
        images.save(image, path, text)
        again = engine.generate(inkwash.inspect(path))
        assert again.images[0].tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mask": MASK.resize((64, 64))}, "64x64, the picture 96x64"),
        ({"mask": Image.new("L", PHOTO.size)}, "all black"),
        ({"mask": Image.new("L", PHOTO.size, 255), "mask_invert": True}, "all black"),
        ({"denoising_strength": 2.0}, "between 0 and 1"),
        ({"width": 65}, "multiple of 8"),
        ({"only_masked": True}, "no mask"),
        ({"latent_mask": MASK}, "no mask"),
        ({"mask": MASK, "latent_mask": MASK.resize((64, 64))}, "64x64, the picture 96x64"),
        ({"denoising_strength": 0.0001, "exact_steps": True, "steps": 50}, "higher strength"),
        ({"init_image": "photo.png"}, "not a picture"),
    ],
)
def test_mistakes_are_answered_in_words(engine: Engine, changes: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        draw(engine, **changes)
