"""One drawing taken apart: the files are all there, they are the drawing's own, and noise is the papers' noise."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inkwash.core.progress import Event, Step
from inkwash.core.request import GenerateRequest
from inkwash.diffusion.noise import PictureNoise
from inkwash.generation import explain
from inkwash.generation.engine import Engine
from inkwash.generation.explain import fitted, noised, words_of
from inkwash.generation.session import Session, Work
from inkwash.prompt import load_tokenizer, token_view

REQUEST = GenerateRequest(
    prompt="a photorealistic (cat:1.2), sitting", negative_prompt="blurry", seed=5, steps=3, width=64, height=48,
    model="tiny", sampler="Euler",
)  # fmt: skip


class Files(dict[str, bytes]):
    """What was kept."""

    def keep(self, name: str, media: str, data: bytes) -> None:
        assert name not in self
        self[name] = data

    def picture(self, name: str) -> Image.Image:
        image = Image.open(io.BytesIO(self[name]))
        image.load()
        return image


def finish(session: Session, work: Work) -> None:
    session.take(work)
    while len(session):
        for ended in session.step():
            ended.result()


@pytest.fixture(scope="module")
def drawn(engine: Engine) -> tuple[Files, list[Event]]:
    files, events, session = Files(), list[Event](), Session(engine)
    finish(session, explain.drawing(session, REQUEST, [1.0, 3.0], events.append, files.keep))
    return files, events


def test_the_trace_names_every_file(drawn: tuple[Files, list[Event]], engine: Engine) -> None:
    files, events = drawn
    trace = json.loads(files["trace"])
    named = {trace["picture"]} | {entry["picture"] for entry in trace["cfg"]}
    named |= {step[kind] for step in trace["steps"] for kind in ("noisy", "denoised")}
    named |= {word[kind] for word in trace["attention"] for kind in ("map", "sheet")}
    assert named | {"trace"} == set(files)
    schedule = engine.model("tiny").noise_schedule
    assert [step["step"] for step in trace["steps"]] == [1, 2, 3]
    assert [step["sigma"] for step in trace["steps"]] == pytest.approx(trace["sigmas"][:-1])
    assert [step["t"] for step in trace["steps"]] == pytest.approx([schedule.t(s) for s in trace["sigmas"][:-1]])
    assert trace["chunks"] == 1
    assert [word["word"] for word in trace["attention"]] == ["a", "photorealistic", "cat", "sitting"]
    assert len(trace["attention"][1]["token_indexes"]) > 1  # a word of several tokens
    weights = {token["text"].strip(): token["weight"] for token in trace["tokens"]}
    assert weights["cat"] == 1.2
    assert sum(isinstance(event, Step) for event in events) == 3


def test_the_pictures_are_those_of_an_ordinary_drawing(drawn: tuple[Files, list[Event]], engine: Engine) -> None:
    files, _ = drawn
    for name, changes in (("picture", {}), ("cfg-0", {"cfg_scale": 1.0}), ("cfg-1", {"cfg_scale": 3.0})):
        alone = engine.generate(dataclasses.replace(REQUEST, **changes)).images[0]  # type: ignore[arg-type]
        assert files.picture(name).tobytes() == alone.tobytes()


def test_maps_fit_over_the_picture(drawn: tuple[Files, list[Event]]) -> None:
    files, _ = drawn
    assert files.picture("word-0").size == (64, 48)
    sheet = files.picture("word-0-steps")
    assert sheet.size == (8, 3 * 6)
    assert np.asarray(sheet).max() == 255
    assert files.picture("noisy-1").size == files.picture("denoised-1").size == (64, 48)


def test_noise_is_added_as_the_paper_says(engine: Engine) -> None:
    """x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise, with a_t read from the schedule at whole t; float32 rounding."""
    files, model, ts = Files(), engine.model("tiny"), [0, 400, 999]
    run = noised(model, Image.new("RGB", (40, 24), (200, 30, 90)), ts, 7, files.keep)
    question: Any = next(run)
    torch.testing.assert_close(question.picture[:, 0, 0], torch.tensor([200.0, 30.0, 90.0]) / 255)
    latents = torch.randn(4, 3, 5)
    question = run.send(latents)
    noise = PictureNoise((4, 3, 5), 7).initial()
    for t in ts:
        a = float(model.noise_schedule.alphas_cumprod[t])
        torch.testing.assert_close(question.latents, math.sqrt(a) * latents + math.sqrt(1 - a) * noise)
        try:
            question = run.send(torch.rand(3, 24, 40))
        except StopIteration:
            assert t == ts[-1]


def test_noise_on_a_picture_is_a_job_of_its_own(engine: Engine) -> None:
    picture = Image.effect_noise((40, 24), 80)
    files, session = Files(), Session(engine)
    finish(session, explain.noising(session, REQUEST, picture, [0, 400], 7, files.keep))
    trace = json.loads(files["trace"])["noised"]
    assert [entry["t"] for entry in trace] == [0, 400]
    a = float(engine.model("tiny").noise_schedule.alphas_cumprod[400])
    assert trace[1]["sigma"] == pytest.approx(math.sqrt((1 - a) / a), rel=1e-5)
    assert {files.picture(entry["picture"]).size for entry in trace} == {(40, 24)}


def test_large_pictures_are_made_to_fit() -> None:
    assert fitted(Image.new("L", (3000, 1000)), 512).size == (512, 168)
    assert fitted(Image.new("RGBA", (61, 3)), 512).size == (64, 8)


def test_words_are_what_people_read() -> None:
    tokens = token_view("black-and-white, cat's photorealistic 😀 1girl", load_tokenizer())
    assert [word.text for word in words_of(tokens)] == [
        "black",
        "and",
        "white",
        "cat",
        "'s",
        "photorealistic",
        "1",
        "girl",
    ]
