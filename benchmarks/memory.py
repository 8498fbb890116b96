"""Peak memory and seconds of one step, one decode and a whole picture (of one step) beside diffusers': same weights.

    python benchmarks/memory.py --sizes 512 1024 2048           # SD 1.5's size: 4.3 GB on disk; 2048 takes an hour
    python benchmarks/memory.py --tiny --sizes 64 128           # seconds; to see that it works
    python benchmarks/memory.py --sizes 2048 --limit 6          # Inkwash alone told to stay within 6 GB
    python benchmarks/memory.py --sizes 4096 --only picture --system inkwash --tiled    # its tiled diffusion

Every number comes from a process of its own, because a process remembers its peak.  diffusers runs in float32 with VAE
tiling and its fused attention: attention slicing, made for kernels that hold all scores, would take 17 GB a head at
2048.  ``--only decode`` leaves the U-Net's work out, not its weights.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.txt2img import CACHE, ENVIRONMENT, ROOT, make_model

SYSTEMS = ("diffusers", "inkwash")
PARTS = ("step", "decode", "picture")


def main() -> None:
    options = arguments()
    model = make_model(options.cache, options.tiny)
    systems = [options.system] if options.system else SYSTEMS
    print(f"{'':24}{'seconds':>10}{'peak GB':>10}")
    for size in options.sizes:
        for part in [options.only] if options.only else PARTS:
            for system in systems:
                told = measure(system, part, model, size, options)
                print(f"{size:5} {part:8}{system:10}{told['seconds']:10.1f}{told['peak']:10.2f}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024], help="pixels a side")
    parser.add_argument("--only", choices=PARTS, help="one of the three parts")
    parser.add_argument("--system", choices=SYSTEMS, help="one of the two systems")
    parser.add_argument("--dtype", default="auto", help="ours; diffusers runs its default, float32")
    parser.add_argument("--limit", type=float, default=0.0, help="ours: GB, as --memory-limit")
    parser.add_argument("--policy", default="automatic", help="ours, as --memory-policy")
    parser.add_argument("--tiled", action="store_true", help="ours: pictures by tiled diffusion, as --tiled")
    parser.add_argument("--tiny", action="store_true", help="a model of 1 M parameters")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the random model is kept")
    return parser.parse_args()


def measure(system: str, part: str, model: Path, size: int, options: argparse.Namespace) -> dict[str, float]:
    """seconds: of the part alone; peak: GB of the whole process, loading included."""
    command = [sys.executable, "-m", "benchmarks.memory_workers", system, part, str(model), str(size)]
    command += [options.dtype, str(options.limit), options.policy, *(["tiled"] if options.tiled else [])]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        return {"seconds": float("nan"), "peak": float("nan")}
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


if __name__ == "__main__":
    main()
