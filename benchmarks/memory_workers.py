"""One measurement of ``benchmarks/memory.py`` in this process.

Arguments: system, "step", "decode" or "picture", model folder, pixels a side, dtype, limit in GB, policy, and perhaps
"tiled".
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.workers import NEGATIVE, PROMPT, Diffusers, peak_gigabytes, seconds
from inkwash.core import allocators
from inkwash.core.settings import Memory

STEPS = 1
"""Of a whole picture: its peak does not depend on their number."""


def main() -> None:
    system, part, model, size, dtype, limit, policy, *tiled = sys.argv[1:]
    if system == "inkwash":
        allocators.prepare()  # as the program does
        work = inkwash(part, Path(model), int(size), dtype, Memory(policy=policy, limit=float(limit)), bool(tiled))
    else:
        work = diffusers(part, Path(model), int(size))
    print(json.dumps({"seconds": seconds(work), "peak": peak_gigabytes()}))


def inkwash(part: str, path: Path, size: int, dtype: str, memory: Memory, tiled: bool) -> Callable[[], None]:
    import torch

    from inkwash import Engine, GenerateRequest, TiledDiffusion
    from inkwash.generation.loop import denoise
    from inkwash.generation.run import Denoise, Row

    engine = Engine(path.parent, dtype=dtype, memory=memory)
    model = engine.model(str(path))
    latents = torch.randn(4, size // 8, size // 8)
    if part == "decode":
        return lambda: _forget(model.decode(latents))
    if part == "picture":
        tiles = TiledDiffusion(tile_width=0, tile_height=0, overlap=16)  # as ``inkwash enlarge`` plans them
        request = GenerateRequest(
            prompt=PROMPT, negative_prompt=NEGATIVE, seed=1, steps=STEPS, sampler="DDIM", width=size, height=size,
            model=str(path), tiled=tiles if tiled else None,
        )  # fmt: skip
        return lambda: _forget(engine.generate(request))
    rows = tuple(Row(latents, 2.0, torch.randn(77, model.spec.unet.context_width)) for _ in range(2))
    return lambda: _forget(denoise([Denoise(model, rows)]))


def diffusers(part: str, path: Path, size: int) -> Callable[[], None]:
    system = Diffusers(path, size, STEPS, "auto")
    system.pipeline.vae.enable_tiling()
    return {"step": system.step, "decode": system.decode, "picture": system.picture}[part]


def _forget(value: object) -> None:
    """Only that it was computed matters."""


if __name__ == "__main__":
    main()
