"""Loading a model file: ours beside diffusers' from_single_file, the same file, one run, taking turns.

    python benchmarks/loading.py                          # SD 1.5, SD 2.1 and SDXL: 12 GB of disk, 9 GB of memory
    python benchmarks/loading.py --families tiny          # seconds; to see that it works

Each load is a process of its own: its time does not count imports, its memory is its own.  Files of random weights
in float16, under the real names (made once, kept in ``--cache``), are read once before, so that the disk counts for
nobody; on a busy machine trust the processor's seconds.  diffusers is given the configurations that it would otherwise
ask the hub for.  Ours also lays the weights out for the CPU's kernels, which diffusers' does at every call; ``--plain``
leaves that out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
PATHS = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, PATHS)), "HF_HUB_OFFLINE": "1"}
QUIET = {"DIFFUSERS_VERBOSITY": "error", "TRANSFORMERS_VERBOSITY": "error", "PYTHONWARNINGS": "ignore"}
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "inkwash-benchmarks"
SYSTEMS = ("diffusers", "inkwash")
FAMILIES = ("sd1", "sd2", "sdxl")
LOOK = 0.01  # seconds between two looks at the memory in use


def main() -> None:
    options = arguments()
    results: dict[str, Any] = {}
    accelerate = "with" if importlib.util.find_spec("accelerate") else "without"
    print(f"To {options.dtype}; diffusers {accelerate} accelerate, Inkwash {'plain' if options.plain else 'packed'}.")
    print(line("", "", COLUMNS))
    for family in options.families:
        model = made(options.cache, family)
        warm(model)
        turns = [{name: one(name, model, options) for name in SYSTEMS} for _ in range(options.rounds)]
        results[family] = {name: middle([turn[name] for turn in turns]) for name in SYSTEMS}
        theirs, ours = (results[family][name] for name in SYSTEMS)
        for name, found in results[family].items():
            print(line(family, name, {key: f"{found[key]:.2f}" for key in COLUMNS}))
        print(line("", "ratio", {key: f"{theirs[key] / ours[key]:.2f}" for key in COLUMNS}), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


COLUMNS = {"seconds": "seconds", "processor": "CPU seconds", "resident": "resident, GB", "own": "of it own, GB"}


def line(family: str, name: str, values: Mapping[str, str]) -> str:
    return f"{family:8}{name:12}" + "".join(f"{value:>15}" for value in values.values())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=FAMILIES, choices=(*FAMILIES, "tiny"))
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"), help="SDXL: 15 GB in float32")
    parser.add_argument("--rounds", type=int, default=3, help="turns each takes; medians are shown")
    parser.add_argument("--plain", action="store_true", help="ours without laying out the weights")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the random models are kept")
    parser.add_argument("--json", type=Path, help="also write the results here")
    parser.add_argument("--one", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def made(cache: Path, family: str) -> Path:
    """A folder with model.safetensors and configs/, which both systems read."""
    folder = cache / f"file-{family}"
    if not (folder / "configs" / "model_index.json").exists():  # written last
        print(f"Making {folder} ...", file=sys.stderr)
        from tests.support import checkpoints, pipelines

        half = checkpoints.torch.float16
        spec = {
            "sd1": lambda: checkpoints.full_spec(dtype=half),
            "sd2": lambda: checkpoints.full_sd2_spec(half),
            "sdxl": lambda: checkpoints.full_sdxl_spec(half),
            "tiny": lambda: checkpoints.sd1_spec(width=768, dtype=half),
        }[family]()
        folder.mkdir(parents=True, exist_ok=True)
        stated = {"modelspec.prediction_type": "v"} if spec.prediction == "v" else None
        checkpoints.write_ldm(folder / "model.safetensors", spec, metadata=stated)
        pipelines.write_configs(folder / "configs", spec)
    return folder


def warm(model: Path) -> None:
    with (model / "model.safetensors").open("rb") as file:
        while file.read(2**24):
            pass


def one(system: str, model: Path, options: argparse.Namespace) -> dict[str, float]:
    """One load in a new process."""
    command = [sys.executable, "-m", "benchmarks.loading", "--one", system, "--model", str(model)]
    command += ["--dtype", options.dtype] + ["--plain"] * options.plain
    run = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT | QUIET, text=True, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found


def middle(turns: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}


def measured(load: Callable[[], object]) -> dict[str, float]:
    """Seconds of a load, and the most memory during it, in GB: resident, and without pages of mapped files ("own")."""
    with watched() as most:
        start, worked = time.perf_counter(), time.process_time()
        held = load()
        seconds, processor = time.perf_counter() - start, time.process_time() - worked
    del held
    return {"seconds": seconds, "processor": processor, "resident": most[0] / 1e9, "own": most[1] / 1e9}


@contextmanager
def watched() -> Iterator[list[int]]:
    most, process, over = [0, 0], psutil.Process(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            memory = process.memory_info()
            most[0] = max(most[0], memory.rss)
            most[1] = max(most[1], memory.rss - getattr(memory, "shared", 0))  # Linux tells mapped pages apart

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def inkwash(model: Path, dtype: str, plain: bool) -> Callable[[], object]:
    import torch

    from inkwash.generation.engine import Engine
    from inkwash.models.load import load
    from inkwash.runtime.device import choose

    torch.ones(1).bfloat16()
    if plain:
        return lambda: load(model / "model.safetensors", None, choose("cpu", dtype), "train")
    engine = Engine(model, "cpu", dtype)
    return lambda: engine.model("model")


def diffusers(model: Path, dtype: str) -> Callable[[], object]:
    import torch
    from tests.support.pipelines import from_single_file

    from inkwash.checkpoint import detect

    path = model / "model.safetensors"
    spec, kind = detect(path), getattr(torch, dtype)
    import diffusers as library

    library.utils.logging.disable_progress_bar()
    _ = library.StableDiffusionPipeline, library.StableDiffusionXLPipeline  # imported before the clock starts
    return lambda: from_single_file(path, spec, model / "configs", torch_dtype=kind)


if __name__ == "__main__":
    given = arguments()
    if given.one == "inkwash":
        print(json.dumps(measured(inkwash(given.model, given.dtype, given.plain))))
    elif given.one:
        print(json.dumps(measured(diffusers(given.model, given.dtype))))
    else:
        sys.path[:0] = PATHS[:2]
        main()
