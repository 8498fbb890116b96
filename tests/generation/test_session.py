"""Many requests in one session: they join, share, end and fail one by one, and no bit notices."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from PIL import Image

from inkwash.core.errors import Cancelled, Enough, InkwashError, InvalidRequest, OutOfMemory
from inkwash.core.limits import Limits
from inkwash.core.progress import Drawn, Event, Step
from inkwash.core.request import GenerateRequest, HiresPass
from inkwash.generation.engine import Engine
from inkwash.generation.session import Ended, Session

BASE = GenerateRequest(prompt="a cute cat", negative_prompt="blurry", steps=4, width=64, height=64, model="tiny")
REQUESTS = [
    dataclasses.replace(BASE, seed=1, sampler="Euler a"),
    dataclasses.replace(BASE, seed=2, sampler="DPM++ SDE", steps=3, batch_size=2),
    dataclasses.replace(BASE, seed=3, sampler="Heun", batch_count=2),
    dataclasses.replace(BASE, seed=4, sampler="Euler", width=96, tiling=True),
]


def digests(images: list[Image.Image]) -> list[str]:
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images]


def finish(session: Session) -> dict[int, Ended]:
    """Step until nothing is left."""
    done: dict[int, Ended] = {}
    while len(session):
        done |= {ended.ticket: ended for ended in session.step()}
    return done


@pytest.mark.parametrize("side_by_side", [1, 3, 16])
def test_strict_pictures_are_the_same_alone_and_together(engine: Engine, side_by_side: int) -> None:
    alone = [digests(engine.generate(request).images) for request in REQUESTS]
    session = Session(engine, side_by_side)
    tickets, done = [], {}
    for request in REQUESTS:  # each joins one step later than the one before
        tickets.append(session.add(request))
        done |= {ended.ticket: ended for ended in session.step()}
    done |= finish(session)
    assert [digests(done[ticket].result().images) for ticket in tickets] == alone


def test_strict_and_fast_requests_draw_beside_one_another(engine: Engine) -> None:
    session = Session(engine)
    strict = [session.add(dataclasses.replace(BASE, seed=9, strict=value)) for value in (True, False, None)]
    done = finish(session)
    first, second, third = (digests(done[ticket].result().images) for ticket in strict)
    assert first == third  # a CPU's default is strict
    assert len(second) == 1


def test_cancelling_one_touches_no_other(engine: Engine) -> None:
    session = Session(engine)
    gone, kept = session.add(dataclasses.replace(BASE, seed=1, batch_size=3)), session.add(REQUESTS[0])
    session.step()
    session.cancel(gone)
    session.cancel(gone)  # twice is once
    done = finish(session)
    assert set(done) == {kept}
    assert digests(done[kept].result().images) == digests(engine.generate(REQUESTS[0]).images)


def test_errors_end_their_own_request_only(engine: Engine) -> None:
    def cancelling(event: Event) -> None:
        if isinstance(event, Step) and event.step == 2:
            raise Cancelled()

    def breaking(event: Event) -> None:
        if isinstance(event, Drawn):
            raise MemoryError

    session = Session(engine)
    cancelled = session.add(dataclasses.replace(BASE, batch_size=2), cancelling)
    broken = session.add(dataclasses.replace(BASE, batch_count=2), breaking)
    good = session.add(REQUESTS[0])
    with pytest.raises(InvalidRequest, match="width"):
        session.add(dataclasses.replace(BASE, width=65))
    done = finish(session)
    assert isinstance(done[cancelled].error, Cancelled)
    assert isinstance(done[broken].error, OutOfMemory)
    assert digests(done[good].result().images) == digests(engine.generate(REQUESTS[0]).images)


def test_another_model_waits_until_nobody_draws(models_dir: Path) -> None:
    session = Session(Engine(models_dir=models_dir, device="cpu", dtype="float32"))
    session.add(BASE)
    assert session.fits("tiny", None)
    assert session.fits("tiny.safetensors", "Automatic")  # the same by another name
    assert not session.fits("tiny-v", None)
    assert session.fits("no such model", None)  # so that it can be refused at once
    with pytest.raises(InkwashError, match="Another model"):
        session.add(dataclasses.replace(BASE, model="tiny-v"))
    finish(session)
    assert session.fits("tiny-v", None)
    session.add(dataclasses.replace(BASE, model="tiny-v"))
    assert next(iter(finish(session).values())).error is None


def test_seats_go_to_whoever_has_fewest(engine: Engine) -> None:
    """A large batch does not keep a newcomer waiting, and no more pictures than seats are begun."""
    told: list[tuple[str, int]] = []

    def telling(name: str) -> object:
        return lambda event: told.append((name, event.image)) if isinstance(event, Step) and event.step == 1 else None

    session = Session(engine, side_by_side=2)
    session.add(dataclasses.replace(BASE, batch_size=4), telling("large"))  # type: ignore[arg-type]
    for _ in range(3):
        session.step()
    session.add(BASE, telling("small"))  # type: ignore[arg-type]
    while ("small", 0) not in told:
        session.step()
    assert told == [("large", 0), ("large", 1), ("small", 0)]
    finish(session)
    assert sorted(told) == [("large", 0), ("large", 1), ("large", 2), ("large", 3), ("small", 0)]


@pytest.mark.parametrize("hires", [None, HiresPass(scale=1.5, steps=3)])
def test_enough_is_enough(engine: Engine, hires: HiresPass | None) -> None:
    """Ended at a step, a picture is what the model saw in it then; its neighbours are drawn on."""
    request = dataclasses.replace(BASE, seed=5, batch_count=2, hires=hires)
    whole = engine.generate(request)
    seen: list[Image.Image] = []
    drawn: list[Drawn] = []

    def tell(event: Event) -> None:
        if isinstance(event, Drawn):
            drawn.append(event)
        if isinstance(event, Step) and (event.image, event.step) == (0, 2):
            seen.append(event.preview())
            raise Enough()

    session = Session(engine)
    ticket = session.add(request, tell)
    result = finish(session)[ticket]
    assert drawn[0].picture.tobytes() == seen[0].tobytes()
    assert drawn[0].infotext == f"{whole.infotexts[0]}, Ended at step: 2"
    assert [event.ended_at for event in drawn] == [2, None]
    assert drawn[1].picture.tobytes() == whole.images[1].tobytes()
    assert result.result().infotexts[1] == whole.infotexts[1]


def test_a_size_left_open_is_held_against_the_limits(models_dir: Path) -> None:
    small = Engine(models_dir=models_dir, device="cpu", dtype="float32", limits=Limits(side=600))
    request = dataclasses.replace(BASE, width=None, height=None, hires=HiresPass(scale=2))
    with pytest.raises(InvalidRequest, match="at most 600"):
        small.work(request)
