"""How long does a catalog of many models take to list?

    python benchmarks/catalog.py          # 1,000 files: links to one tiny model, in ten folders, half with a picture

Cold: the first list, which reads every header and hash.  Warm: every later one; folders are read anew each time.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("", "src")]

from tests.support.checkpoints import sd1_spec, write_ldm  # noqa: E402

from inkwash.checkpoint import Catalog, HashCache  # noqa: E402
from inkwash.server.models import describe_all  # noqa: E402

FILES, ROUNDS = 1000, 7


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _fill(root / "models" / "Stable-diffusion")
        catalog = Catalog([root], HashCache(root / "hashes.json"), confined=True)
        print(f"{FILES} files, found: {_median(catalog.entries):.3f} s")
        print(f"with what each is, its hash and picture, cold: {_seconds(lambda: describe_all(catalog)):.3f} s")
        print(f"the same, warm: {_median(lambda: describe_all(catalog)):.3f} s")


def _fill(folder: Path) -> None:
    folder.mkdir(parents=True)
    first = folder / "model.safetensors"
    write_ldm(first, sd1_spec((32, 32), depths=(1, 0), layers=1, vae_layers=1, text_layers=1, vocabulary=100))
    for number in range(FILES - 1):
        inside = folder / f"folder-{number % 10}"
        inside.mkdir(exist_ok=True)
        os.link(first, inside / f"model-{number:04}.safetensors")
        if number % 2:
            (inside / f"model-{number:04}.preview.png").touch()


def _median(work: Callable[[], object]) -> float:
    return statistics.median(_seconds(work) for _ in range(ROUNDS))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
