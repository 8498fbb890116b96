"""The worker's drawing thread, step by step, on the store itself and an easel without torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from tests.jobs.conftest import Clock, Room
from tests.support.fake_worker import FakeEasel, picture_of

from inkwash.core import files
from inkwash.core.images import read_metadata
from inkwash.jobs.drawing import Drawing
from inkwash.jobs.inbox import Inbox
from inkwash.jobs.protocol import Glimpse, Job, Saving, State


@dataclass
class Workshop:
    """A drawing thread that is stepped by hand."""

    room: Room
    inbox: Inbox
    easel: FakeEasel
    drawing: Drawing
    glimpses: list[Glimpse] = field(default_factory=list)

    def turn(self, times: int = 1) -> None:
        """One round of ``Drawing.run``, without waiting."""
        for _ in range(times):
            self.drawing._ask = True
            self.drawing._drop_cancelled()
            self.drawing._load()
            self.drawing._take()
            self.drawing._note()
            if self.drawing._jobs:
                self.drawing._step()

    def finish(self) -> None:
        while self.room.store.counts()["queued"] or self.room.store.counts()["running"]:
            self.turn()

    def submit(self, prompt: str = "a cat", **request: object) -> Job:
        return self.room.submit(request={"prompt": prompt, "seed": 3, "steps": 4} | request)

    def state(self, job: Job) -> State:
        return self.room.store.get(job.id).state


@pytest.fixture
def workshop(room: Room) -> Workshop:
    inbox, glimpses = Inbox(Clock()), list[Glimpse]()
    easel = FakeEasel(room.store, glimpses.append)
    return Workshop(room, inbox, easel, Drawing(room.store, easel, inbox, room=4), glimpses)


def test_jobs_join_at_the_next_step_and_are_drawn_side_by_side(workshop: Workshop) -> None:
    first = workshop.submit(batch_size=2)
    workshop.turn(2)
    second = workshop.submit(seed=9)
    workshop.turn()
    assert len(workshop.easel) == 2
    workshop.finish()
    for job, count in ((first, 2), (second, 1)):
        done = workshop.room.store.get(job.id)
        assert [item.name for item in done.items] == [str(index) for index in range(count)]
        assert list(done.warnings) == ["drawn by nobody"]
        for index, item in enumerate(done.items):
            assert read_metadata(item.path).infotext == item.facts["infotext"]
            assert item.facts["seed"] == job.request["seed"] + index


def test_glimpses_grow_and_end(workshop: Workshop) -> None:
    workshop.submit(batch_size=2)
    workshop.finish()
    fractions = [glimpse.fraction for glimpse in workshop.glimpses]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert workshop.glimpses[-2].stage == "decoding"
    assert {(glimpse.pictures, glimpse.steps) for glimpse in workshop.glimpses} == {(2, 4)}
    assert any(glimpse.preview for glimpse in workshop.glimpses)


def test_a_cancel_takes_effect_within_a_step(workshop: Workshop) -> None:
    gone, kept = workshop.submit(), workshop.submit()
    workshop.turn(2)
    workshop.room.store.cancel(gone.id)
    workshop.inbox.order({"order": "cancel", "job": gone.id})
    workshop.turn()
    assert len(workshop.easel) == 1
    workshop.finish()
    assert (workshop.state(gone), workshop.state(kept)) == ("cancelled", "done")
    assert len(workshop.room.files) == 1


def test_a_lost_lease_is_noticed_when_a_picture_is_brought(workshop: Workshop) -> None:
    job = workshop.submit()
    workshop.turn()
    workshop.room.store.cancel(job.id)  # the order to cancel is lost
    workshop.turn(6)
    assert len(workshop.easel) == 0
    assert workshop.room.files == []


def test_another_model_waits_for_its_turn(workshop: Workshop) -> None:
    first, other, third = workshop.submit(), workshop.submit(model="other"), workshop.submit()
    workshop.turn()
    assert [workshop.state(job) for job in (first, other, third)] == ["running", "queued", "queued"]
    workshop.finish()
    ended = [workshop.room.store.get(job.id).started for job in (first, other, third)]
    assert all(ended)
    assert {workshop.state(job) for job in (first, other, third)} == {"done"}


def test_one_jobs_fault_ends_no_other(workshop: Workshop) -> None:
    good, broken, missing = workshop.submit(), workshop.submit("broken"), workshop.submit(model="missing")
    workshop.finish()
    assert [workshop.state(job) for job in (good, broken, missing)] == ["done", "failed", "failed"]
    assert "defect" in str(workshop.room.store.get(broken.id).error)
    assert workshop.room.store.get(missing.id).error == "There is no model 'missing'."


def test_a_job_that_runs_out_of_memory_beside_others_is_tried_alone(workshop: Workshop) -> None:
    large, small = workshop.submit("memory"), workshop.submit()
    late = workshop.submit()
    workshop.finish()
    assert [workshop.state(job) for job in (large, small, late)] == ["done"] * 3
    assert workshop.room.store.get(large.id).attempts == 2
    assert workshop.room.store.get(small.id).attempts == 1


def test_a_full_disk_fails_the_job_in_words(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: object, data: bytes) -> bool:
        raise files.CannotWrite("The picture cannot be written: the disk is full.", "Free some space.")

    job = workshop.submit()
    monkeypatch.setattr(files, "write_new", full)
    workshop.finish()
    failed = workshop.room.store.get(job.id)
    assert (failed.state, failed.remedy) == ("failed", "Free some space.")
    monkeypatch.undo()
    again = workshop.room.store.retry(job.id)
    workshop.finish()
    assert workshop.state(again) == "done"


def test_draining_finishes_in_time_or_hands_back(workshop: Workshop) -> None:
    clock = workshop.inbox.clock
    assert isinstance(clock, Clock)
    short, long = workshop.submit(steps=2), workshop.submit(steps=500)
    waiting = workshop.submit(model="other")
    workshop.turn()
    workshop.inbox.order({"order": "drain", "grace": 10})
    while workshop.state(short) != "done":
        assert not workshop.drawing._left()
        workshop.turn()
    assert len(workshop.easel) == 1
    clock.now += 11
    assert workshop.drawing._left()
    assert [workshop.state(job) for job in (long, waiting)] == ["queued", "queued"]
    assert workshop.room.store.get(long.id).attempts == 0


def test_the_fake_draws_what_it_is_told() -> None:
    assert picture_of({"prompt": "x", "seed": 1}, 0).tobytes() != picture_of({"prompt": "x", "seed": 2}, 0).tobytes()


def test_a_store_that_cannot_write_stops_nobody(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claiming and finishing fail for a while, as on a full disk; afterwards the jobs are drawn, once."""

    def full(*arguments: object, **named: object) -> None:
        raise files.CannotWrite("jobs.sqlite cannot be used: disk is full.", "Free some space.")

    job, other = workshop.submit(), workshop.submit()
    monkeypatch.setattr(workshop.room.store, "claim", full)
    workshop.turn(3)
    monkeypatch.undo()
    monkeypatch.setattr(workshop.room.store, "finish", full)
    workshop.turn(8)
    assert {workshop.state(job), workshop.state(other)} == {"running"}
    monkeypatch.undo()
    workshop.room.clock.now += 1000  # the leases run out
    workshop.finish()
    assert {workshop.state(job), workshop.state(other)} == {"done"}
    assert len(workshop.room.files) == 2


def test_a_skip_ends_the_batch_at_work_and_the_next_is_drawn(workshop: Workshop) -> None:
    job, other = workshop.submit(batch_count=3), workshop.submit(seed=9)
    workshop.turn(2)
    workshop.inbox.order({"order": "skip", "job": job.id})
    workshop.finish()
    items = workshop.room.store.get(job.id).items
    assert [item.facts.get("ended_at") for item in items] == [3, None, None]
    assert [item.facts.get("ended_at") for item in workshop.room.store.get(other.id).items] == [None]


def test_an_interrupt_keeps_the_picture_as_it_stands_and_begins_no_more(workshop: Workshop) -> None:
    job = workshop.submit(batch_count=3)
    workshop.turn(7)
    workshop.room.store.interrupt(job.id)
    workshop.inbox.order({"order": "interrupt", "job": job.id})
    workshop.finish()
    done = workshop.room.store.get(job.id)
    assert (done.state, done.interrupted) == ("done", True)
    assert [item.facts.get("ended_at") for item in done.items] == [None, 3]
    again = workshop.submit()
    workshop.finish()
    assert workshop.room.store.get(again.id).items[0].facts.get("ended_at") is None


def test_models_are_let_go_when_nobody_draws(workshop: Workshop) -> None:
    workshop.submit()
    workshop.turn()
    workshop.inbox.order({"order": "unload"})
    workshop.turn()
    assert workshop.easel.model == ""
    workshop.finish()
    workshop.turn()
    assert workshop.easel.model == "unloaded"


def test_pictures_are_written_as_the_job_was_begun(workshop: Workshop) -> None:
    first = workshop.submit()
    workshop.turn()
    workshop.room.store.results.saving = Saving("[seed]-of-[prompt]", "webp", 50)
    second = workshop.submit("a dog")
    workshop.finish()
    (old,), (new,) = (workshop.room.store.get(job.id).items for job in (first, second))
    assert (old.media, new.media) == ("image/png", "image/webp")
    assert new.path.endswith("3-of-a dog.webp")
