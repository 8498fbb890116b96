"""Eight users hand in a job at once: side by side in one session against one after another.

    python benchmarks/service_sharing.py                 # the default model, 256x256, 12 steps
    python benchmarks/service_sharing.py --size 512 --steps 20 --users 8 --dtype float32

For strict and fast mode: the whole time of both ways and their ratio, and how long the last user waits for a first
look at the picture.  In strict mode the pictures must be the same bits; it is checked.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src")]

import torch  # noqa: E402
from PIL import Image  # noqa: E402

from inkwash import Engine, GenerateRequest  # noqa: E402
from inkwash.core.progress import Event, Progress, Step  # noqa: E402
from inkwash.generation.session import Session  # noqa: E402

PROMPTS = ("a cute cat", "a dog on a beach", "a red house", "a ship at sea", "a tree in autumn", "a bowl of fruit",
           "an old clock", "a mountain lake")  # fmt: skip


@dataclass
class Run:
    """One way of drawing them all."""

    started: float = field(default_factory=time.perf_counter)
    first_looks: dict[int, float] = field(default_factory=dict)  # user -> seconds
    digests: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0

    def watching(self, user: int) -> Progress:
        def watch(event: Event) -> None:
            if isinstance(event, Step) and event.step == 1:
                self.first_looks.setdefault(user, time.perf_counter() - self.started)

        return watch

    def finish(self, user: int, image: Image.Image) -> None:
        self.digests[user] = hashlib.sha256(image.tobytes()).hexdigest()
        self.seconds = time.perf_counter() - self.started


def together(engine: Engine, requests: list[GenerateRequest]) -> Run:
    run, session = Run(), Session(engine, side_by_side=len(requests))
    users = {session.add(request, run.watching(user)): user for user, request in enumerate(requests)}
    while len(session):
        for ended in session.step():
            run.finish(users[ended.ticket], ended.result().images[0])
    return run


def one_by_one(engine: Engine, requests: list[GenerateRequest]) -> Run:
    run = Run()
    for user, request in enumerate(requests):
        run.finish(user, engine.generate(request, run.watching(user)).images[0])
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--model", default=None)
    parser.add_argument("--models-dir", default=None)
    parser.add_argument("--device", default=None)
    parser.add_argument("--dtype", default=None)
    options = parser.parse_args()
    engine = Engine(options.models_dir, options.device, options.dtype)
    base = GenerateRequest(
        negative_prompt="blurry", width=options.size, height=options.size, steps=options.steps, model=options.model
    )
    requests = [
        replace(base, prompt=PROMPTS[user % len(PROMPTS)], seed=user, steps=options.steps + user % 3)
        for user in range(options.users)
    ]
    engine.generate(replace(requests[0], steps=2))  # load and warm up
    print(
        f"{engine.compute.device} {engine.compute.dtype}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(f"{options.users} users, {options.size}x{options.size}, {options.steps} to {options.steps + 2} steps")
    for strict in (True, False):
        asked = [replace(request, strict=strict) for request in requests]
        together(engine, asked)  # strict mode tries out here which calls it may share
        apart, joined = one_by_one(engine, asked), together(engine, asked)
        if strict and apart.digests != joined.digests:
            raise SystemExit("strict pictures differ")
        print(
            f"{'strict' if strict else 'fast':7} one by one {apart.seconds:6.2f} s, together {joined.seconds:6.2f} s: "
            f"ratio {joined.seconds / apart.seconds:.2f}; the last user's first look "
            f"{max(apart.first_looks.values()):6.2f} s -> {max(joined.first_looks.values()):6.2f} s"
            f"{'; the same bits' if strict else ''}",
            flush=True,
        )


if __name__ == "__main__":
    main()
