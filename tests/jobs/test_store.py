"""The life of a job in the store, by an injected clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from tests.jobs.conftest import Room

from inkwash.jobs import forgetting
from inkwash.jobs.protocol import ATTEMPTS, INTERRUPTIONS, JobNotFound, QueueFull, StaleLease
from inkwash.jobs.store import LEASE


def test_a_job_is_drawn(room: Room) -> None:
    job = room.submit(user="ann", origin="page")
    assert (job.state, job.position, job.created) == ("queued", 0, room.clock.now)
    lease = room.claim()
    assert (lease.job, lease.kind, lease.attempt, dict(lease.request)) == (job.id, "generate", 1, dict(job.request))
    item = room.keep(lease)
    room.clock.now += 5
    room.store.finish(lease, ["advice"])
    done = room.store.get(job.id)
    assert (done.state, done.started, done.finished) == ("done", job.created, job.created + 5)
    assert (list(done.items), list(done.warnings)) == ([item], ["advice"])
    assert [state for _, _, state in room.told] == ["queued", "running", "running", "done"]
    assert room.store.claim("w") is None


def test_what_was_handed_in_survives_the_owner(make_room: Callable[..., Room]) -> None:
    room = make_room()
    waiting, running = room.submit(prompt="一只猫"), room.submit(user="bob")
    lease = room.claim()
    again = make_room(clock=room.clock)
    again.store.recover()
    assert again.store.get(waiting.id).request == waiting.request
    assert again.store.get(running.id).state == "queued"
    with pytest.raises(StaleLease):
        again.store.finish(lease)
    assert again.claim().token > lease.token


def test_random_seeds_are_drawn_once_so_that_every_attempt_is_alike(room: Room) -> None:
    job = room.submit(request={"prompt": "x", "subseed_strength": 0.5})
    assert job.request["seed"] >= 0
    assert job.request["subseed"] >= 0
    assert room.submit(request={"seed": -1}).request["seed"] >= 0
    assert "subseed" not in room.submit(request={"seed": 7}).request


def test_seeds_up_to_the_last_one_are_kept(room: Room) -> None:
    job = room.submit(request={"prompt": "x", "seed": 2**64 - 1})
    room.keep(room.claim(), seed=2**64 - 1)
    assert room.store.get(job.id).request["seed"] == 2**64 - 1
    assert room.store.get(job.id).items[0].facts["seed"] == 2**64 - 1


def test_the_same_key_is_the_same_job(room: Room) -> None:
    first = room.submit(user="ann", key="k")
    assert room.submit(user="ann", key="k", prompt="another").id == first.id
    assert room.submit(user="bob", key="k").id != first.id
    assert room.submit(user="ann").id != first.id
    room.store.cancel(first.id)
    assert room.submit(user="ann", key="k").state == "cancelled"  # handed in once is handed in once


def test_turns_go_round_and_priority_goes_first(room: Room) -> None:
    jobs = [room.submit(user="ann", prompt=f"ann {number}") for number in range(3)]
    jobs += [room.submit(user="bob"), room.submit(user="cid"), room.submit(user="ann", priority=1)]
    wanted = [jobs[5], jobs[3], jobs[4], jobs[0], jobs[1], jobs[2]]
    assert [room.store.get(job.id).position for job in wanted] == list(range(6))
    claimed = []
    for place in range(6):
        assert room.store.get(wanted[place].id).position == 0
        claimed.append(room.claim().job)
    assert claimed == [job.id for job in wanted]


def test_who_was_served_waits_for_those_who_were_not(room: Room) -> None:
    room.submit(user="ann")
    room.claim()
    ann, bob = room.submit(user="ann"), room.submit(user="bob")
    assert [room.claim().job for _ in range(2)] == [bob.id, ann.id]


def test_a_busy_worker_gets_what_may_join_and_never_out_of_turn(room: Room) -> None:
    first = room.submit(request={"prompt": "x", "model": "other"})
    room.submit(request={"prompt": "x"})
    assert room.store.claim("w", model="") is None
    assert room.store.claim("w", model="other").job == first.id  # type: ignore[union-attr]
    assert room.store.claim("w", model="") is not None


def test_a_full_queue_says_when_to_come_back(make_room: Callable[..., Room]) -> None:
    room = make_room(queue=3, per_user=2)
    lease_time = 40.0
    room.submit()
    lease = room.claim()
    room.clock.now += lease_time
    room.store.finish(lease)
    room.submit(user="ann", key="k")
    room.submit(user="ann")
    with pytest.raises(QueueFull, match="of your jobs"):
        room.submit(user="ann")
    room.submit(user="bob")
    with pytest.raises(QueueFull) as full:
        room.submit(user="cid")
    assert full.value.retry_after == lease_time
    assert room.submit(user="ann", key="k").state == "queued"  # it has its place already
    room.claim()
    assert room.submit(user="cid").state == "queued"


def test_leases_run_out_without_a_heartbeat(room: Room) -> None:
    job = room.submit()
    lease = room.claim("dead")
    room.clock.now += LEASE - 1
    (renewed,) = room.store.renew([lease])
    assert renewed.expires == room.clock.now + LEASE
    room.clock.now += LEASE + 1
    second = room.claim("alive")
    assert (second.job, second.attempt) == (job.id, 2)
    assert second.token > lease.token
    for late in (room.store.finish, room.keep, room.store.hand_back):
        with pytest.raises(StaleLease):
            late(lease)
    assert room.store.renew([lease, second]) == [second]
    assert room.files == []


def test_after_the_last_attempt_a_job_is_set_aside_with_its_error(room: Room) -> None:
    job = room.submit()
    for attempt in range(1, ATTEMPTS + 1):
        assert room.claim().attempt == attempt
        room.store.abandon("w", "The worker crashed (SIGSEGV).", counts=True)
    failed = room.store.get(job.id)
    assert (failed.state, failed.attempts) == ("failed", ATTEMPTS)
    assert failed.error is not None
    assert "SIGSEGV" in failed.error
    assert failed.remedy
    assert room.store.claim("w") is None
    again = room.store.retry(job.id)
    assert (again.state, again.attempts, again.request) == ("queued", 0, job.request)


def test_failures_end_at_once_unless_another_attempt_may_help(room: Room) -> None:
    job = room.submit()
    room.store.fail(room.claim(), "Too little memory.", "Try less.", again=True)
    assert (room.store.get(job.id).state, room.store.get(job.id).error) == ("queued", "Too little memory.")
    assert room.store.claim("busy", model="") is None  # begun a second time it is drawn alone
    room.store.fail(room.claim(), "width is 77.", "Try 72.", again=False)
    failed = room.store.get(job.id)
    assert (failed.state, failed.error, failed.remedy) == ("failed", "width is 77.", "Try 72.")


def test_being_cut_short_from_outside_does_not_count_but_not_for_ever(room: Room) -> None:
    job = room.submit()
    for _ in range(INTERRUPTIONS):
        assert room.claim().attempt == 1
        room.store.abandon("w", "ended from outside", counts=False)
    attempts = [room.claim().attempt]
    for _ in range(ATTEMPTS - 1):
        room.store.abandon("w", "ended from outside", counts=False)
        attempts.append(room.claim().attempt)
    room.store.abandon("w", "ended from outside", counts=False)
    assert attempts == [1, 2, 3]
    assert room.store.get(job.id).state == "failed"


def test_what_is_handed_back_is_first_in_its_line(room: Room) -> None:
    jobs = [room.submit(user=user) for user in ("ann", "bob", "ann")]
    room.store.hand_back(room.claim())
    assert [room.claim().job for _ in range(3)] == [jobs[0].id, jobs[1].id, jobs[2].id]


def test_cancelling(room: Room) -> None:
    running, queued = room.submit(), room.submit()
    lease = room.claim()
    room.keep(lease)
    assert room.store.cancel(queued.id).state == "cancelled"
    assert room.store.cancel(running.id).state == "cancelled"
    assert room.store.renew([lease]) == []
    with pytest.raises(StaleLease):
        room.keep(lease, "1")
    with pytest.raises(StaleLease):
        room.store.fail(lease, "", "", again=True)
    assert len(room.store.get(running.id).items) == 1  # what was finished stays
    assert room.store.claim("w") is None
    assert room.store.cancel(running.id).state == "cancelled"
    with pytest.raises(JobNotFound):
        room.store.cancel("nobody's")


def test_listing_pages_through_a_users_jobs(room: Room) -> None:
    jobs = [room.submit(user=user) for user in ("ann", "bob") * 5]
    anns = [job.id for job in jobs if job.user == "ann"][::-1]
    assert [job.id for job in room.store.list(user="ann", limit=3)] == anns[:3]
    assert [job.id for job in room.store.list(user="ann", limit=3, before=anns[2])] == anns[3:]
    room.claim()
    assert len(room.store.list(states=("running",))) == 1
    assert room.store.counts() == {"queued": 9, "running": 1}


def test_history_is_forgotten_pictures_stay(make_room: Callable[..., Room]) -> None:
    room = make_room(history=2)
    jobs = [room.submit() for _ in range(4)]
    for number in itertools.count():
        lease = room.store.claim("w")
        if lease is None:
            break
        room.keep(lease, seed=number)
        room.store.finish(lease)
    last = room.submit()
    room.store.tidy()
    assert {job.id for job in room.store.list()} == {jobs[2].id, jobs[3].id, last.id}
    assert len(room.files) == 4


def test_traces_go_with_their_job(make_room: Callable[..., Room]) -> None:
    room = make_room(history=0)
    room.submit(kind="explain", request={"prompt": "x"})
    lease = room.claim()
    item = room.store.keep(lease, "trace", "application/json", b"{}", {})
    assert (room.folder / "data" / "items" / lease.job / "trace.json").read_bytes() == b"{}"
    assert room.store.get(lease.job).items == [item]
    room.store.finish(lease)
    room.store.tidy()
    assert not (room.folder / "data" / "items" / lease.job).exists()


def test_explanations_are_forgotten_sooner(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(forgetting.REMEMBERED, "explain", 1)
    jobs = [room.submit(kind="explain"), room.submit(), room.submit(kind="explain")]
    for _ in jobs:
        room.store.finish(room.claim())
    room.store.tidy()
    assert {job.id for job in room.store.list()} == {jobs[1].id, jobs[2].id}


def test_who_crashes_workers_waits_for_the_others(room: Room) -> None:
    """Only what is cut short from outside goes first again."""
    bad = room.submit(user="ann")
    good = room.submit(user="bob")
    assert room.claim().job == bad.id
    room.store.abandon("w", "The worker crashed.", counts=True)
    assert room.claim().job == good.id
