"""Real pictures in one loop: joining and leaving mid-way, other samplers and sizes beside them, changes no bit."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools

import pytest

from inkwash.core.request import GenerateRequest
from inkwash.generation.drawing import Finish, draw
from inkwash.generation.engine import Engine
from inkwash.generation.job import plan
from inkwash.generation.loop import Loop
from inkwash.generation.wording import Library
from inkwash.runtime.sharing import SharingCheck

BASE = GenerateRequest(prompt="a cute cat", negative_prompt="blurry", steps=5, width=64, height=64, model="tiny")
COMPANY = [
    dataclasses.replace(BASE, seed=1, sampler="Euler a"),
    dataclasses.replace(BASE, seed=2, sampler="DPM++ SDE", steps=3),
    dataclasses.replace(BASE, seed=3, sampler="DDIM", prompt="a dog AND a hat:0.5"),
    dataclasses.replace(BASE, seed=4, sampler="Euler", prompt="word " * 90),
    dataclasses.replace(BASE, seed=5, sampler="DPM++ 2M", width=96),
    dataclasses.replace(BASE, seed=6, sampler="Heun", cfg_scale=1.0),
    dataclasses.replace(BASE, seed=7, sampler="UniPC", steps=8),
    dataclasses.replace(BASE, seed=8, sampler="LCM", steps=2),
]


def digest(finish: Finish) -> str:
    return hashlib.sha256(finish.image.tobytes()).hexdigest()


def drawn_together(engine: Engine, requests: list[GenerateRequest], every: int) -> dict[int, str]:
    """Pictures by seed; one request joins the loop every so many steps."""
    loop = Loop(strict=True, sharing=SharingCheck(), max_rows=8)
    seeds: dict[int, int] = {}
    done: dict[int, str] = {}
    waiting = iter(requests)
    for step in itertools.count():
        if step % every == 0 and (request := next(waiting, None)) is not None:
            job = plan(request, engine.model("tiny"), Library())
            seeds[loop.add(draw(job, job.pictures[0], "", lambda event: None))] = request.seed
        for finished in loop.step():
            assert finished.error is None
            done[seeds[finished.ticket]] = digest(finished.value)
        if len(done) == len(requests):
            return done
    raise AssertionError


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def machine(request: pytest.FixtureRequest, engine: Engine) -> Engine:
    """bfloat16 is where strict mode may really share calls, once it has proven them equal."""
    return engine if request.param == "float32" else Engine(engine.catalog.roots[0], "cpu", "bfloat16")


@pytest.mark.parametrize("every", [1, 3])
def test_pictures_do_not_notice_who_joins_or_leaves(machine: Engine, every: int) -> None:
    alone = {request.seed: drawn_together(machine, [request], 1)[request.seed] for request in COMPANY}
    assert drawn_together(machine, COMPANY, every) == alone
    assert drawn_together(machine, COMPANY[::-1], every) == alone


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_equal_neighbours_may_share_and_change_nothing(machine: Engine, count: int) -> None:
    """Pictures of one shape, which strict mode would like to put into one call."""
    requests = [dataclasses.replace(BASE, seed=seed, sampler="Euler a") for seed in range(count)]
    alone = {request.seed: drawn_together(machine, [request], 1)[request.seed] for request in requests}
    assert drawn_together(machine, requests, 1) == alone
