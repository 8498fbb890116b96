"""How much faster could an exact U-Net step still become on this machine?

    python benchmarks/limit.py            # SD 1.5's size, 512x512; 4.3 GB on disk, 10 GB of memory, 3 minutes

A step of ours is taken apart by PyTorch's profiler: matrix products and convolutions, which oneDNN computes at the
hardware's speed, and all else (softmax, norms, activations, sums, copies, Winograd's transforms).  Were all else free,
a step would take as long as its products: the last column says how far ahead of diffusers that would be.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("", "src")]

from benchmarks.txt2img import Worker, arguments, make_model, workers
from benchmarks.workers import Inkwash

PRODUCTS = ("_convolution_pointwise", "_linear_pointwise", "mkldnn_convolution", "::bmm", "baddbmm", "::mm", "addmm")


def main() -> None:
    options = arguments()
    model = make_model(options.cache, options.tiny)
    with workers(model, options) as systems:
        for _ in range(options.rounds):
            for worker in systems.values():
                worker.measure("U-Net step")
        theirs, ours = (_median(worker) for worker in systems.values())
    share = products_share(model, options.size, options.dtype or "auto")
    print(f"diffusers {theirs:.2f} s, ours {ours:.2f} s: {theirs / ours:.2f} times as fast")
    print(f"products and convolutions are {share:.0%} of ours, {share * ours:.2f} s")
    print(f"were all else free: {theirs / (share * ours):.2f} times as fast")
    if options.json:
        options.json.write_text(json.dumps({"diffusers": theirs, "inkwash": ours, "products": share}, indent=2))


def products_share(model: Path, size: int, dtype: str) -> float:
    """The share of a step's time that is spent in products and convolutions."""
    system = Inkwash(model, size, 1, dtype)
    system.step()
    with profile(activities=[ProfilerActivity.CPU]) as taken:
        system.step()
    times = {event.key: event.self_cpu_time_total for event in taken.key_averages()}
    products = sum(time for name, time in times.items() if name.endswith(PRODUCTS))
    return float(products / sum(times.values()))


def _median(worker: Worker) -> float:
    return statistics.median(worker.seconds["U-Net step"])


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
