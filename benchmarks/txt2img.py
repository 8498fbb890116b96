"""Our txt2img beside diffusers' StableDiffusionPipeline: the same files, one run, taking turns.

    python benchmarks/txt2img.py                          # SD 1.5's size: 4.3 GB on disk, 10 GB of memory, 10 minutes
    python benchmarks/txt2img.py --tiny --size 64         # seconds; to see that it works

Each system lives in a process of its own, so that its peak memory is its own; they measure in turn, so that a busy
machine disturbs both alike.  Weights are random (made once, kept in ``--cache``): speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
SYSTEMS = ("diffusers", "inkwash")
MEASURES = ("U-Net step", "VAE decode", "picture")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "inkwash-benchmarks"


@dataclass
class Worker:
    """One system in its own process; answers one JSON line for each command."""

    process: subprocess.Popen[str]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def ask(self, command: str) -> float:
        commands, answers = cast(IO[str], self.process.stdin), cast(IO[str], self.process.stdout)
        print(command, file=commands, flush=True)
        line = answers.readline()
        if not line:
            raise SystemExit(
                f"The benchmark's {' '.join(cast(list[str], self.process.args)[2:4])} process ended early."
            )
        return float(json.loads(line))

    def measure(self, what: str) -> None:
        self.seconds.setdefault(what, []).append(self.ask(what))


def main() -> None:
    options = arguments()
    model = make_model(options.cache, options.tiny)
    with workers(model, options) as systems:
        for what, rounds in zip(MEASURES, (options.rounds, options.rounds, 1), strict=True):
            for _ in range(rounds):
                for worker in systems.values():
                    worker.measure(what)
        results = {name: summary(worker) for name, worker in systems.items()}
    show(results, options.steps)
    if options.json:
        options.json.write_text(json.dumps({"options": describe(options), "results": results}, indent=2))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--steps", type=int, default=4, help="sampler steps of the whole picture")
    parser.add_argument("--rounds", type=int, default=3, help="turns each takes at steps and decodes")
    parser.add_argument("--dtype", default=None, help="ours; diffusers runs its default, float32")
    parser.add_argument("--tiny", action="store_true", help="a model of 1 M parameters")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the random model is kept")
    parser.add_argument("--json", type=Path, help="also write the results here")
    return parser.parse_args()


def make_model(cache: Path, tiny: bool) -> Path:
    """A diffusers folder of random weights, which both systems read."""
    size = "tiny" if tiny else "full"
    folder = cache / f"random-{size}"
    if not (folder / "model_index.json").exists():  # written last
        print(f"Making {folder} ...", file=sys.stderr)
        subprocess.run(
            [sys.executable, "-m", "benchmarks.random_model", folder, size], cwd=ROOT, env=ENVIRONMENT, check=True
        )
    return folder


@contextmanager
def workers(model: Path, options: argparse.Namespace) -> Iterator[dict[str, Worker]]:
    """Both systems, started one after the other and ready to measure."""
    systems = {}
    try:
        for name in SYSTEMS:
            started = time.perf_counter()
            command = [sys.executable, "-m", "benchmarks.workers", name, str(model)]
            command += [str(options.size), str(options.steps), options.dtype or "auto"]
            process = subprocess.Popen(
                command, cwd=ROOT, env=ENVIRONMENT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            systems[name] = Worker(process)
            systems[name].ask("ready")
            systems[name].seconds["start and load"] = [time.perf_counter() - started]
        yield systems
    finally:
        for worker in systems.values():
            worker.process.kill()
            worker.process.wait()


def summary(worker: Worker) -> dict[str, float]:
    """Medians of seconds, and the peak memory in GB."""
    return {name: statistics.median(times) for name, times in worker.seconds.items()} | {
        "peak memory, GB": worker.ask("peak")
    }


def show(results: dict[str, dict[str, float]], steps: int) -> None:
    theirs, ours = (results[name] for name in SYSTEMS)
    print(f"{'':28}{'diffusers':>12}{'inkwash':>12}{'ratio':>10}")
    for name in theirs:
        label = f"picture, {steps} steps" if name == "picture" else name
        label = label if "GB" in label else f"{label}, s"
        print(f"{label:28}{theirs[name]:12.3f}{ours[name]:12.3f}{theirs[name] / ours[name]:10.2f}")


def describe(options: argparse.Namespace) -> dict[str, str]:
    return {name: str(value) for name, value in vars(options).items()}


if __name__ == "__main__":
    main()
