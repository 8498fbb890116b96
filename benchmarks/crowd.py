"""A thousand clients at once: how many are taken, how soon the rest is sent away, how long /health takes meanwhile.

    python -m benchmarks.crowd --clients 1000 --queue 256

Three processes, so that the clients' own work is not counted as the server's: the server (its worker only holds on to
the first job), the crowd, and one who asks for health every 10 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing as mp
import statistics
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

BODY = json.dumps({"steps": 2, "width": 64, "height": 64}).encode()


def serve(queue: int, told: Connection, over: Event) -> None:
    from tests.server.running import running
    from tests.support.service import PaintingService

    folder = Path(tempfile.mkdtemp())
    service = PaintingService(folder / "data", folder / "outputs", queue=queue)
    service.let_go.clear()
    with running(folder, service) as (port, _):
        told.send(port)
        over.wait()
        service.let_go.set()


def examine(port: int, told: Connection, over: Event) -> None:
    async def all_the_while() -> list[float]:
        seconds = []
        while not over.is_set():
            start = time.perf_counter()
            await ask(port, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            seconds.append(time.perf_counter() - start)
            await asyncio.sleep(0.01)
        return seconds

    told.send(asyncio.run(all_the_while()))


async def crowd(port: int, clients: int, room: int) -> tuple[Counter[int], float]:
    """Until everybody who is not taken has been answered.  Seconds that took."""
    head = f"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n"
    request = f"{head}Content-Type: application/json\r\nConnection: close\r\n\r\n".encode() + BODY
    start = time.perf_counter()
    tasks = [asyncio.create_task(ask(port, request)) for _ in range(clients)]
    answers: Counter[int] = Counter()
    for answer in asyncio.as_completed(tasks):
        answers[await answer] += 1
        if answers.total() >= clients - room:
            break
    seconds = time.perf_counter() - start
    for task in tasks:
        task.cancel()
    return answers, seconds


async def ask(port: int, request: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    status = (await reader.readline()).split()[1]
    writer.close()
    return int(status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--queue", type=int, default=256)
    options = parser.parse_args()
    context = mp.get_context("spawn")
    over, calm = context.Event(), context.Event()
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(options.queue, there, over))
    server.start()
    port = here.recv()
    doctor = context.Process(target=examine, args=(port, there, calm))
    doctor.start()
    answers, seconds = asyncio.run(crowd(port, options.clients, options.queue + 1))
    calm.set()
    health = sorted(here.recv())
    over.set()
    doctor.join()
    server.join()
    print(f"{options.clients} clients, {dict(answers)} after {seconds:.2f} s")
    print(f"health: {len(health)} times, median {1000 * statistics.median(health):.0f} ms, "
          f"99 % {1000 * health[int(0.99 * len(health))]:.0f} ms, worst {1000 * health[-1]:.0f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
