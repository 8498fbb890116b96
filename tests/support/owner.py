"""A service as a process of its own, to be killed: ``python tests/support/owner.py FOLDER JOBS``.

Hands in its jobs under the same keys at every start, prints the process id of each worker once it is at work, and
ends when all jobs have.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkwash.jobs.protocol import NewJob
from inkwash.jobs.service import Service, Setup
from inkwash.jobs.supervisor import Patience

FAKE = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
IMPATIENT = Patience(silence=10, stuck=1.0, first=0.01, most=0.05, look=0.05)


def setup_of(folder: Path, worker: Sequence[str] = FAKE) -> Setup:
    return Setup(data_dir=folder / "data", outputs_dir=folder / "outputs", worker=worker, queue=1000, side_by_side=4)


def request_of(number: int) -> dict[str, Any]:
    return {"prompt": f"job {number}", "seed": 1000 * number, "steps": 6, "batch_size": 1 + number % 3}


def main() -> None:
    folder, jobs = Path(sys.argv[1]), int(sys.argv[2])
    with Service(setup_of(folder), IMPATIENT) as service:
        news = threading.Event()
        service.live.watch(news.set)
        for number in range(jobs):
            new = NewJob(kind="generate", request=request_of(number), user=str(number % 3), key=str(number))
            service.desk.submit(new)
        worker = None
        while any(service._store.counts().values()):
            state = service.system().worker
            if state.state == "busy" and state.pid != worker:
                print(state.pid, flush=True)
                worker = state.pid
            news.wait(0.05)
            news.clear()


if __name__ == "__main__":
    main()
