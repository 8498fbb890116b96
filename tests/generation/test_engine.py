"""Requests drawn by the engine on a tiny model: what decides a picture, and what must not."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from inkwash.core import infotext
from inkwash.core.errors import Cancelled, InkwashError, InvalidRequest, ModelNotFound
from inkwash.core.progress import Decoding, Drawn, Event, Loading, Started, Step
from inkwash.core.request import GenerateRequest, Result
from inkwash.diffusion import SAMPLERS
from inkwash.generation.engine import Engine

REQUEST = GenerateRequest(
    prompt="a (cute:1.2) cat, [sitting:running:2]",
    negative_prompt="blurry",
    seed=5,
    steps=4,
    width=64,
    height=64,
    model="tiny",
)


def digest(image: Image.Image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def draw(engine: Engine, **changes: object) -> Result:
    if changes.get("sampler") == "DPM adaptive":
        changes.setdefault("cfg_scale", 1.0)  # a random network under guidance is stiff: thousands of tiny steps
    return engine.generate(dataclasses.replace(REQUEST, **changes))  # type: ignore[arg-type]


def distance(left: torch.Tensor, right: torch.Tensor) -> float:
    return float((left - right).norm() / right.norm())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_picture_never_depends_on_its_batch(engine: Engine, sampler: str) -> None:
    """Strict: the same bits alone and in batches of 2, 3, 5 and 8, whatever the position, and in a second batch."""
    alone = digest(draw(engine, sampler=sampler, seed=8).images[0])
    eight = [digest(image) for image in draw(engine, sampler=sampler, batch_size=8).images]
    assert eight[3] == alone
    assert len(set(eight)) == 8
    for size in (2, 3, 5):
        together = draw(engine, sampler=sampler, batch_size=size)
        assert together.seeds == list(range(5, 5 + size))
        assert [digest(image) for image in together.images] == eight[:size]
    batches = draw(engine, sampler=sampler, batch_size=2, batch_count=2)
    assert [digest(image) for image in batches.images] == eight[:4]


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M SDE", "Heun"])
def test_fast_mode_is_close_to_strict(engine: Engine, sampler: str) -> None:
    strict = draw(engine, sampler=sampler, batch_size=3, strict=True).latents
    fast = draw(engine, sampler=sampler, batch_size=3, strict=False).latents
    assert distance(fast, strict) < 1e-3


def test_a_new_process_draws_the_same_bits(engine: Engine, models_dir: Path) -> None:
    code = (
        "import sys, hashlib, inkwash\n"
        "engine = inkwash.Engine(models_dir=sys.argv[1], device='cpu', dtype='float32')\n"
        "request = inkwash.GenerateRequest(prompt='ink', sampler='DPM++ SDE', seed=3, steps=3,\n"
        "                                  width=64, height=64, model='tiny')\n"
        "print(hashlib.sha256(engine.generate(request).images[0].tobytes()).hexdigest())\n"
    )
    here = GenerateRequest(prompt="ink", sampler="DPM++ SDE", seed=3, steps=3, width=64, height=64, model="tiny")
    there = subprocess.run([sys.executable, "-c", code, str(models_dir)], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == digest(engine.generate(here).images[0])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sampler": "DPM++ 2M SDE", "schedule": "Karras", "eta": 0.7, "batch_size": 2},
        {"subseed": 9, "subseed_strength": 0.3, "batch_size": 2},
        {"sampler": "Euler", "s_churn": 3.0, "cfg_rescale": 0.5, "noise_source": "NV", "clip_skip": 2},
        {"sampler": "DDIM CFG++", "emphasis": "No norm", "width": 72},
        {"sigmas": (9.0, 3.0, 0.5, 0.0), "guidance_end": 0.6},
        {"seed_resize_from_w": 32, "seed_resize_from_h": 48, "ngms": 2.0},
        {"prompt": 'a __thing__ with \n lines, commas: and "quotes"', "sampler": "LCM", "ensd": 31337},
    ],
    ids=["plain", "sde", "variation", "churn", "cfg++", "sigmas", "seed resize", "odd text"],
)
def test_the_infotext_draws_the_picture_again(engine: Engine, changes: dict[str, object]) -> None:
    result = draw(engine, **changes)
    for image, text in zip(result.images, result.infotexts, strict=True):
        again = engine.generate(infotext.to_request(infotext.parse(text)))
        assert digest(again.images[0]) == digest(image)
        assert len(again.images) == 1


def test_the_result_says_what_was_drawn(engine: Engine) -> None:
    result = draw(engine, batch_size=2, seed=-1, width=None, sampler="DPM++ 2M Karras")
    assert result.request.seed == result.seeds[0] >= 0
    assert result.seeds[1] == result.seeds[0] + 1
    assert (result.request.width, result.images[0].size) == (512, (512, 64))
    assert (result.request.sampler, result.request.schedule) == ("DPM++ 2M", "Karras")
    assert result.latents.shape == (2, 4, 8, 64)
    assert result.latents.dtype == torch.float32
    assert result.seconds > 0


def test_cfg_zero_ignores_the_prompt_and_one_ignores_the_negative(engine: Engine) -> None:
    zero = {"cfg_scale": 0.0}
    one = {"cfg_scale": 1.0}
    assert torch.equal(draw(engine, **zero).latents, draw(engine, **zero, prompt="something else").latents)
    assert torch.equal(draw(engine, **one).latents, draw(engine, **one, negative_prompt="something else").latents)
    assert not torch.equal(draw(engine, **zero).latents, draw(engine, **one).latents)


def test_cfg_zero_equals_the_negative_prompt_as_prompt(engine: Engine) -> None:
    zero = draw(engine, cfg_scale=0.0, negative_prompt="a dog").latents
    assert distance(zero, draw(engine, cfg_scale=1.0, prompt="a dog").latents) < 1e-5


def test_and_composes(engine: Engine) -> None:
    """cat AND cat:1 pulls twice as hard as cat: uncond + 2 s (cond - uncond)."""
    both = draw(engine, prompt="a cat AND a cat", cfg_scale=3.0).latents
    assert distance(both, draw(engine, prompt="a cat", cfg_scale=6.0).latents) < 1e-3


def test_editing_changes_the_picture_only_from_its_step_on(engine: Engine) -> None:
    never = draw(engine, prompt="a cat").latents
    assert torch.equal(draw(engine, prompt="a [cat:dog:400]").latents, never)
    assert not torch.equal(draw(engine, prompt="a [cat:dog:2]").latents, never)


def test_long_prompts_meet_short_negative_ones(engine: Engine) -> None:
    """Three chunks against one, in one call: repeating the shorter context changes nothing but rounding."""
    long = ", ".join(["a cute cat on a green meadow"] * 30)
    result = draw(engine, prompt=long)
    assert torch.isfinite(result.latents).all()
    assert "chunk" in " ".join(result.warnings)


def test_variation_strength_runs_from_seed_to_subseed(engine: Engine) -> None:
    plain = draw(engine).latents
    assert torch.equal(draw(engine, subseed=77, subseed_strength=0.0).latents, plain)
    full = draw(engine, subseed=77, subseed_strength=1.0).latents
    assert distance(full, draw(engine, seed=77).latents) < 1e-5


def test_variations_count_in_the_subseed(engine: Engine) -> None:
    result = draw(engine, subseed=70, subseed_strength=0.5, batch_size=3)
    assert result.seeds == [5, 5, 5]
    assert result.subseeds == [70, 71, 72]
    assert torch.equal(result.latents[2:], draw(engine, subseed=72, subseed_strength=0.5).latents)


def test_an_inpainting_model_draws_from_text(engine: Engine) -> None:
    assert torch.isfinite(draw(engine, model="tiny-inpainting").latents).all()


def test_a_sampler_that_chooses_its_own_steps_finishes(engine: Engine) -> None:
    assert torch.isfinite(draw(engine, sampler="DPM adaptive").latents).all()


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_few_steps_are_drawn_by_every_sampler(engine: Engine, sampler: str, steps: int) -> None:
    assert torch.isfinite(draw(engine, sampler=sampler, steps=steps, width=32, height=32).latents).all()


def test_events_tell_the_story_in_order(models_dir: Path) -> None:
    events: list[Event] = []
    request = dataclasses.replace(REQUEST, batch_size=2, sampler="Heun")
    result = Engine(models_dir, "cpu", "float32").generate(request, events.append)
    assert isinstance(events[0], Loading)
    assert isinstance(events[1], Started)
    assert len(events[1].sigmas) == 5
    for image in (0, 1):
        own = [event for event in events[2:] if getattr(event, "image", None) == image]
        assert [event.step for event in own if isinstance(event, Step)] == [1, 2, 3, 4]
        assert isinstance(own[-2], Decoding)
        assert isinstance(own[-1], Drawn)
        assert own[-1].picture is result.images[image]
    step = next(event for event in events if isinstance(event, Step))
    assert step.preview().size == (64, 64)


def test_cancel_takes_effect_within_one_step(engine: Engine) -> None:
    seen: list[int] = []

    def stop_at_two(event: Event) -> None:
        if isinstance(event, Step):
            seen.append(event.step)
            if event.step == 2:
                raise Cancelled

    with pytest.raises(Cancelled):
        engine.generate(dataclasses.replace(REQUEST, steps=50), stop_at_two)
    assert seen == [1, 2]
    assert digest(draw(engine).images[0]) == digest(draw(engine).images[0])  # the engine is as good as before


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": "tinny"}, ModelNotFound, "tiny"),
        ({"width": 65}, InvalidRequest, "72"),
        ({"sampler": "Euler b"}, InvalidRequest, "Euler a"),
        ({"steps": 0}, InvalidRequest, "steps"),
        ({"vae": "nowhere"}, InkwashError, "nowhere"),
    ],
)
def test_mistakes_are_answered_in_words(
    engine: Engine, changes: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        draw(engine, **changes)


def test_networks_that_cannot_be_used_yet_are_named(engine: Engine) -> None:
    result = draw(engine, prompt="a cat <lora:style:0.8>")
    assert any("<lora:style>" in warning for warning in result.warnings)
    assert torch.equal(result.latents, draw(engine, prompt="a cat ").latents)


def test_many_requests_are_drawn_together_and_equal_each_alone(engine: Engine) -> None:
    """Of three models, one with a batch: the same bits, and events that count them all."""
    changes: list[dict[str, object]] = [
        {},
        {"prompt": "a dog", "batch_size": 2},
        {"model": "tiny-v", "sampler": "Heun"},
        {"seed": 9},
    ]
    requests = [dataclasses.replace(REQUEST, **change) for change in changes]  # type: ignore[arg-type]
    events: list[Event] = []
    results = engine.generate_all(requests, events.append)
    for request, result in zip(requests, results, strict=True):
        assert torch.equal(result.latents, engine.generate(request).latents)
    drawn = [event for event in events if isinstance(event, Drawn)]
    assert sorted(event.image for event in drawn) == [0, 1, 2, 3, 4]
    assert {event.images for event in drawn} == {5}
    assert len([event for event in events if isinstance(event, Started)]) == 1
