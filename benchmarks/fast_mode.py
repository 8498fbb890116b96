"""How far fast mode is from strict mode: relative L2 of the latents, picture by picture.

    python benchmarks/fast_mode.py                 # the model in the box
    python benchmarks/fast_mode.py --model PATH    # any other

Eight pictures in shared calls (fast) against the same eight in calls of their own (strict).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src")]

import inkwash  # noqa: E402

SAMPLERS = ("Euler", "Euler a", "DPM++ 2M", "DPM++ 2M SDE", "Heun")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    for dtype in ("float32", "bfloat16"):
        engine = inkwash.Engine(device="cpu", dtype=dtype)
        distances = [d for sampler in SAMPLERS for d in compared(engine, options.model, options.steps, sampler)]
        distances.sort()
        middle = distances[len(distances) // 2]
        print(f"{dtype:9} {len(distances)} pictures: median {middle:.1e}, largest {distances[-1]:.1e}")


def compared(engine: inkwash.Engine, model: str | None, steps: int, sampler: str) -> list[float]:
    """The distance of each of eight pictures."""
    fast, strict = (
        engine.generate(
            inkwash.GenerateRequest(
                prompt="a cute cat", seed=1, steps=steps, sampler=sampler, batch_size=8, model=model, strict=strict
            )
        ).latents
        for strict in (False, True)
    )
    return [float((a - b).norm() / b.norm()) for a, b in zip(fast, strict, strict=True)]


if __name__ == "__main__":
    main()
