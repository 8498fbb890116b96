"""The real worker process on the model in the box: the pixels of a job are those of the engine, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

from PIL import Image

from inkwash.core.request import GenerateRequest
from inkwash.generation.engine import Engine
from inkwash.jobs.protocol import Job, NewJob
from inkwash.jobs.service import Service, Setup

REQUEST = {"prompt": "a cute cat", "width": 64, "height": 64, "steps": 6, "sampler": "Euler a", "strict": True}


def test_jobs_are_drawn_as_the_engine_draws_through_a_kill(tmp_path: Path) -> None:
    setup = Setup(
        data_dir=tmp_path / "data", outputs_dir=tmp_path / "out", models_dir=tmp_path, device="cpu", dtype="float32"
    )
    with Service(setup) as service:
        news = threading.Event()
        watch = service.live.watch(news.set)
        jobs = [service.desk.submit(NewJob(kind="generate", request=REQUEST | {"seed": seed})) for seed in (1, 2)]
        jobs.append(service.desk.submit(NewJob(kind="generate", request=REQUEST | {"seed": 8, "batch_size": 2})))
        jobs.append(service.desk.submit(NewJob(kind="explain", request=REQUEST | {"seed": 1, "cfgs": [1.0]})))
        killed = False
        for _ in range(1000):
            news.wait(0.2)
            news.clear()
            if not killed and any(glimpse.preview for glimpse in watch.take().glimpses):
                pid = service.system().worker.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                killed = True
            if not any(service._store.counts().values()):
                break
        done = [service.desk.get(job.id) for job in jobs]
    assert killed
    assert [job.state for job in done] == ["done"] * 4, [job.error for job in done]
    engine = Engine(models_dir=tmp_path, device="cpu", dtype="float32")
    for job, seed, count in zip(done, (1, 2, 8), (1, 1, 2), strict=False):
        request = GenerateRequest(**REQUEST, seed=seed, batch_size=count)  # type: ignore[arg-type]
        assert pixels(job) == [image.tobytes() for image in engine.generate(request).images]
    explained = {item.name: Path(item.path) for item in done[3].items}
    trace = json.loads(explained["trace"].read_text())
    assert [step["step"] for step in trace["steps"]] == [1, 2, 3, 4, 5, 6]
    with Image.open(explained["picture"]) as image:
        assert [image.tobytes()] == pixels(done[0])


def pixels(job: Job) -> list[bytes]:
    found = []
    for item in job.items:
        with Image.open(item.path) as image:
            found.append(image.tobytes())
    return found
