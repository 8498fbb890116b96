"""One measurement of ``benchmarks/memory.py`` in this process.

Arguments: system, "step" or "decode", model folder, pixels a side, dtype, limit in GB, policy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.workers import peak_gigabytes, seconds
from inkwash.core import allocators


def main() -> None:
    system, part, model, size, dtype, limit, policy = sys.argv[1:]
    if system == "inkwash":
        allocators.prepare()  # as the program does
        work = inkwash(part, Path(model), int(size), dtype, float(limit), policy)
    else:
        work = diffusers(part, Path(model), int(size))
    print(json.dumps({"seconds": seconds(work), "peak": peak_gigabytes()}))


def inkwash(part: str, path: Path, size: int, dtype: str, limit: float, policy: str) -> Callable[[], None]:
    import torch

    from inkwash import Engine
    from inkwash.core.settings import Memory
    from inkwash.generation.loop import denoise
    from inkwash.generation.run import Denoise, Row

    engine = Engine(path.parent, dtype=dtype, memory=Memory(policy=policy, limit=limit))
    model = engine.model(str(path))
    latents = torch.randn(4, size // 8, size // 8)
    if part == "decode":
        return lambda: _forget(model.decode(latents))
    rows = tuple(Row(latents, 2.0, torch.randn(77, model.spec.unet.context_width)) for _ in range(2))
    return lambda: _forget(denoise([Denoise(model, rows)]))


def diffusers(part: str, path: Path, size: int) -> Callable[[], None]:
    import diffusers
    import torch

    library: Any = diffusers
    latents = torch.randn(2, 4, size // 8, size // 8)
    vae = library.AutoencoderKL.from_pretrained(path / "vae")
    vae.enable_tiling()
    unet = library.UNet2DConditionModel.from_pretrained(path / "unet")
    context = torch.randn(2, 77, unet.config.cross_attention_dim)

    def work() -> None:
        with torch.no_grad():
            if part == "decode":
                vae.decode(latents[:1])
            else:
                unet(latents, 500, encoder_hidden_states=context)

    return work


def _forget(value: object) -> None:
    """Only that it was computed matters."""


if __name__ == "__main__":
    main()
