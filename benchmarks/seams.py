"""Are there seams in pictures that were enlarged in tiles?  The step at tiles' lines beside that at lines elsewhere.

    python benchmarks/seams.py                                # pictures of the box, 128 to 512, by every road
    python benchmarks/seams.py --overlap 64 --keep pictures   # other tiles; and the pictures to look at
    python benchmarks/seams.py --seeds 3                      # every picture redrawn from three seeds

1 is no seam.  Every figure is beside that of the same pictures, enlarged and seen through the autoencoder in one piece,
so that what lies at a line by chance does not count.  What is redrawn in one piece has no seams either: its figure, at
the same lines, tells what the measure is worth; so does its figure with a seam drawn in, every second tile a level
brighter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

import torch  # noqa: E402
from PIL import Image  # noqa: E402
from tests.support.seams import CELL, Light, light, lines, seam  # noqa: E402

from inkwash import Engine, GenerateRequest  # noqa: E402
from inkwash.core.boxes import Box, grid  # noqa: E402
from inkwash.generation.enlarging import ROADS, Target, plan_enlarging  # noqa: E402

SUBJECTS = (
    "a cute cat on the grass", "a red house", "a snowy mountain", "a bowl of fruit", "a ship on the sea",
    "a girl with long hair, portrait", "a forest path", "a blue vase with flowers",
)  # fmt: skip
SMALL, LARGE = 128, 512
WHOLE, NOT_REDRAWN = "in one piece", "not redrawn"


def main() -> None:
    options = arguments()
    engine = Engine(device="cpu")
    sources = [(seed, picture) for seed, picture in _sources(engine, options.pictures)]
    cells = LARGE // CELL
    boxes = grid((cells, cells), (options.tile // CELL, options.tile // CELL), options.overlap // CELL)
    met = lines(boxes, 0), lines(boxes, 1)
    print(f"{len(boxes)} tiles, lines at {met[0]}")
    plain = [light(large) for large in _enlarged(engine, sources, NOT_REDRAWN, options)]
    for road in options.roads:
        drawn = [light(large) for large in _enlarged(engine, sources, road, options)]
        _told(road, drawn, plain, met)
        if road == options.roads[0]:
            _told("with a seam", [seamed(picture, boxes) for picture in drawn], plain, met)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=len(SUBJECTS))
    parser.add_argument("--seeds", type=int, default=1, help="with which each is redrawn")
    parser.add_argument("--tile", type=int, default=128)
    parser.add_argument("--overlap", type=int, default=32)
    parser.add_argument("--roads", nargs="+", choices=(WHOLE, *ROADS), default=(WHOLE, *ROADS))
    parser.add_argument("--keep", type=Path, help="a folder for the pictures")
    return parser.parse_args()


def _sources(engine: Engine, count: int) -> Iterator[tuple[int, Image.Image]]:
    for seed, subject in enumerate(SUBJECTS[:count], 11):
        request = GenerateRequest(prompt=f"{subject}, best quality", seed=seed, steps=16)
        yield seed, engine.generate(request).images[0]


def _enlarged(
    engine: Engine, sources: list[tuple[int, Image.Image]], road: str, options: argparse.Namespace
) -> Iterator[Image.Image]:
    """As ``inkwash enlarge`` does it."""
    whole = road in (WHOLE, NOT_REDRAWN)
    strength = 0.0 if road == NOT_REDRAWN else 0.35
    target = Target(
        to=LARGE, road=None if whole else road, tile=LARGE if whole else options.tile, overlap=options.overlap
    )
    spec = engine.model().spec
    for first, picture in sources:
        for seed in range(first, first + 100 * options.seeds, 100):
            base = GenerateRequest(
                prompt="best quality", seed=seed, steps=16, denoising_strength=strength, keep_structure=0.75
            )
            (one,) = plan_enlarging(base, picture.size, target, spec, torch.float32, 10**12)
            large = engine.generate(one.over(picture)).images[0]
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                large.save(options.keep / f"{road}-{options.tile}-{options.overlap}-{seed}.png".replace(" ", "-"))
            yield large


def seamed(picture: Light, boxes: list[Box]) -> Light:
    """Every second tile a level brighter."""
    brighter = picture.copy()
    for box in boxes[::2]:
        brighter[box.times(CELL).place] += 1
    return brighter


def _told(name: str, pictures: list[Light], plain: list[Light], met: tuple[list[int], list[int]]) -> None:
    found = seam(list(zip(pictures, plain, strict=True)), met)
    print(f"{name:22}{found.ratio:7.3f} +- {found.error:.3f}, {found.lines} lines", flush=True)


if __name__ == "__main__":
    main()
