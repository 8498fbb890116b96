"""Both ends of the wire, in threads over pipes: answers, errors, orders, and the end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import pytest
from tests.jobs.conftest import Room, png, text_of

from inkwash.core.errors import InkwashError
from inkwash.jobs.bench import RemoteBench
from inkwash.jobs.office import Office
from inkwash.jobs.protocol import Glimpse, StaleLease
from inkwash.jobs.wire import LENGTHS, MOST_BODY, Connection, Gone


def joined() -> tuple[Connection, Connection]:
    """Two ends of one connection."""
    one, two = os.pipe(), os.pipe()
    return (
        Connection(os.fdopen(one[0], "rb"), os.fdopen(two[1], "wb")),
        Connection(os.fdopen(two[0], "rb"), os.fdopen(one[1], "wb")),
    )


@dataclass
class Line:
    """A worker's end and the owner's."""

    bench: RemoteBench
    office: Office
    orders: SimpleQueue[Mapping[str, Any]]
    glimpses: list[Glimpse]
    threads: list[threading.Thread]

    def hang_up(self) -> None:
        self.bench.connection.close()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def line(room: Room) -> Iterator[Line]:
    far, near = joined()
    bench, glimpses, orders = RemoteBench(far), list[Glimpse](), SimpleQueue[Mapping[str, Any]]()
    office = Office("w", near, room.store, glimpses.append)
    threads = [threading.Thread(target=office.serve), threading.Thread(target=bench.listen, args=(orders.put,))]
    for thread in threads:
        thread.start()
    line = Line(bench, office, orders, glimpses, threads)
    yield line
    line.hang_up()


def test_a_job_over_the_wire(room: Room, line: Line) -> None:
    job = room.submit(prompt="一只猫")
    lease = line.bench.claim("", model=None)
    assert lease is not None
    assert lease.request["prompt"] == "一只猫"
    assert line.bench.claim("") is None
    (lease,) = line.bench.renew([lease])
    text = text_of("一只猫", 1)
    item = line.bench.keep(lease, "0", "image/png", png(1, text), {"seed": 1, "infotext": text})
    line.bench.finish(lease, ["a word"])
    done = room.store.get(job.id)
    assert (done.state, list(done.items), list(done.warnings)) == ("done", [item], ["a word"])


def test_errors_arrive_as_what_they_were(room: Room, line: Line) -> None:
    room.submit()
    lease = line.bench.claim("")
    assert lease is not None
    line.bench.fail(lease, "no", "yes", again=True)
    for call in (lambda: line.bench.finish(lease), lambda: line.bench.hand_back(lease)):
        with pytest.raises(StaleLease, match="does not hold"):
            call()
    again = line.bench.claim("")
    assert again is not None
    with pytest.raises(InkwashError, match="type 'text/html'"):
        line.bench.keep(again, "0", "text/html", b"<script>", {})
    line.bench.hand_back(again)
    assert room.store.counts()["queued"] == 1


def test_what_is_told_and_ordered_needs_no_answer(line: Line) -> None:
    told = Glimpse(job="1", picture=0, pictures=1, step=1, steps=2, sigma=1.5, fraction=0.5, preview=b"\0\1")
    line.bench.glimpse(told)
    line.bench.beat(state="busy", stuck=1.5)
    line.bench.claim("")  # answered after what was told before it
    assert line.glimpses == [told]
    assert line.office.facts["stuck"] == 1.5
    line.office.order("cancel", job="1")
    assert line.orders.get(timeout=10) == {"order": "cancel", "job": "1"}


def test_calls_from_many_threads_get_their_own_answers(room: Room, line: Line) -> None:
    for number in range(40):
        room.submit(prompt=str(number))
    seen = SimpleQueue[str]()

    def work() -> None:
        while (lease := line.bench.claim("")) is not None:
            assert line.bench.renew([lease])[0].job == lease.job
            line.bench.finish(lease)
            seen.put(lease.job)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({seen.get_nowait() for _ in range(40)}) == 40


def test_whoever_waits_is_told_when_the_owner_goes(line: Line) -> None:
    line.office.connection.close()

    def ask() -> None:
        for _ in range(3):  # the first may still be on its way
            line.bench.claim("")

    with pytest.raises(Gone):
        ask()


def test_broken_streams_end() -> None:
    for data in (b"\0", LENGTHS.pack(4, 0) + b"{}", LENGTHS.pack(0, MOST_BODY + 1), LENGTHS.pack(2, 3) + b"{}ab"):
        read, write = os.pipe()
        os.write(write, data)
        os.close(write)
        with os.fdopen(read, "rb") as reader:
            assert Connection(reader, reader).receive() is None
