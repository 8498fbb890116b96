"""Which pictures may share a U-Net call bit for bit, on the machine at hand.

    python benchmarks/sharing.py              # 3 and 35 M parameters, minutes
    python benchmarks/sharing.py --full       # SD 1.5's size as well

Prints, for k rows of one picture in a call of R rows, "=" when every picture's rows are the bits of its own call, else
the largest relative L2 difference.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from inkwash.checkpoint.spec import UNetSpec  # noqa: E402
from inkwash.models.unet import UNet  # noqa: E402
from inkwash.runtime.attention import on_cpu  # noqa: E402
from inkwash.runtime.packing import pack  # noqa: E402

CPU = torch.device("cpu")
PAIRS = ((1, 2), (1, 4), (2, 4), (2, 6), (2, 8), (2, 16), (4, 8), (3, 6))
SPECS = {
    "3 M": UNetSpec(4, 4, (32, 64, 64, 64), 2, (1, 1, 1, 0), 1, 64, (8, 8, 8, 8), 8, False),
    "35 M": UNetSpec(4, 4, (64, 128, 256, 256), 2, (1, 1, 1, 0), 1, 256, (8, 8, 8, 8), 8, False),
    "860 M": UNetSpec(4, 4, (320, 640, 1280, 1280), 2, (1, 1, 1, 0), 1, 768, (8, 8, 8, 8), 8, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="SD 1.5's size too: 4 GB, many minutes")
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for name, spec in SPECS.items():
        if name != "860 M" or options.full:
            for dtype in (torch.bfloat16, torch.float32):
                unet = network(spec, dtype)
                for size in (8, 16, 32):
                    print(f"{name:6}{str(dtype)[6:]:9}{size:3}x{size:<3}", row(unet, size, dtype), flush=True)


def network(spec: UNetSpec, dtype: torch.dtype) -> UNet:
    """Random weights, packed as for drawing."""
    torch.manual_seed(0)
    with torch.device("meta"):
        unet = UNet(spec, on_cpu)
    unet.to_empty(device="cpu").requires_grad_(False).eval().to(dtype)
    for parameter in unet.parameters():
        parameter.normal_(0, parameter[0].numel() ** -0.5)
    pack(unet, CPU, dtype, many_pixels=[*unet.down_blocks[:-1], *unet.up_blocks[1:]])
    return unet


@torch.inference_mode()
def row(unet: UNet, size: int, dtype: torch.dtype) -> str:
    """One line of the table."""
    most = max(rows for _, rows in PAIRS)
    x = torch.randn(most, 4, size, size).to(dtype)
    t, context = torch.rand(most) * 999, torch.randn(most, 77, unet.spec.context_width).to(dtype)

    def call(first: int, end: int) -> torch.Tensor:
        layout = torch.channels_last
        out: torch.Tensor = unet(x[first:end].contiguous(memory_format=layout), t[first:end], context[first:end])
        return out

    cells = []
    for k, rows in PAIRS:
        shared = call(0, rows)
        own = torch.cat([call(first, first + k) for first in range(0, rows, k)])
        distance = float((own.float() - shared.float()).norm() / own.float().norm())
        cells.append(f"{k}/{rows}: {'=' if torch.equal(own, shared) else f'{distance:.0e}'}")
    return "  ".join(cells)


if __name__ == "__main__":
    main()
