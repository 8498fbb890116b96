"""The worker process: ``python -m inkwash.jobs.worker SETUP``, started by the supervisor.

It speaks the wire over its standard input and output, and ends when its owner does.  torch is imported after the first
heartbeat, so that a slow start is not taken for a hung one.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from inkwash.core.errors import InkwashError
from inkwash.jobs.bench import RemoteBench
from inkwash.jobs.drawing import Drawing, Easel
from inkwash.jobs.inbox import Inbox
from inkwash.jobs.wire import Connection, Gone

logger = logging.getLogger(__name__)

HEARTBEAT = 2.0
"""Seconds between two heartbeats."""

MakeEasel = Callable[[RemoteBench, dict[str, Any]], Easel]


def main() -> None:
    work(_studio)


def work(make_easel: MakeEasel) -> None:
    """The life of a worker process.  make_easel: the real one, or a test's own."""
    setup = json.loads(sys.argv[1])
    bench = RemoteBench(Connection(sys.stdin.buffer, _own_output()))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    inbox = Inbox()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: inbox.order({"order": "drain"}))
    _thread(_listen, bench, inbox)
    hearts: list[Drawing] = []
    _thread(_beat, bench, hearts, inbox)
    drawing = Drawing(bench, make_easel(bench, setup), inbox, room=int(setup["side_by_side"]))
    try:
        _renew(bench, drawing, inbox)
        hearts.append(drawing)
        drawing.run()
    except Gone:
        pass
    sys.stderr.flush()
    os._exit(0)  # threads that wait for input would keep the process


def _own_output() -> BinaryIO:
    """Standard output for the wire alone: whatever else is printed goes to standard error, into the log."""
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return own


def _listen(bench: RemoteBench, inbox: Inbox) -> None:
    """Until the owner is gone; then nobody wants what is drawn here, and the next owner gives the jobs out anew."""
    bench.listen(inbox.order)
    os._exit(0)


def _beat(bench: RemoteBench, hearts: list[Drawing], inbox: Inbox) -> None:
    """Keep the leases, and tell how the drawing thread fares."""
    while True:
        try:
            if hearts:
                _renew(bench, hearts[0], inbox)
            else:
                bench.beat(state="starting")
        except Gone:
            return
        except InkwashError as error:
            logger.error("the leases cannot be renewed: %s", error)
        time.sleep(HEARTBEAT)


def _renew(bench: RemoteBench, drawing: Drawing, inbox: Inbox) -> None:
    beat = drawing.beat
    if beat.leases:
        held = {lease.job for lease in bench.renew(beat.leases)}
        for lease in beat.leases:
            if lease.job not in held and lease in drawing.beat.leases:
                inbox.lost(lease.job)
    stuck = time.monotonic() - beat.since if beat.leases else 0.0
    bench.beat(state="busy" if beat.leases else "idle", stuck=stuck, **beat.facts)


def _thread(target: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()


def _studio(bench: RemoteBench, setup: dict[str, Any]) -> Easel:
    from inkwash.core.blobs import Blobs
    from inkwash.core.limits import Limits
    from inkwash.core.settings import Memory
    from inkwash.generation.engine import Engine
    from inkwash.jobs.studio import Studio

    memory = None if setup["memory"] is None else Memory(**setup["memory"])
    engine = Engine(
        setup["models_dir"], setup["device"], setup["dtype"], memory, limits=Limits(**setup["limits"]), confined=True
    )
    return Studio(
        engine, bench, bench.glimpse, side_by_side=setup["side_by_side"], strict=setup["strict"],
        blobs=Blobs.of(Path(setup["data_dir"])),
    )  # fmt: skip


if __name__ == "__main__":
    main()
