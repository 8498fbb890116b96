"""``python -m recipes.upscaler STAGE``: pairs, train, export, measure."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from .settings import HERE, load_settings

STAGES = {  # name on the command line -> module, function
    "pairs": ("pairs", "draw_pairs"),
    "train": ("training", "train_network"),
    "export": ("training", "export"),
    "measure": ("measure", "measure"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recipes.upscaler")
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--settings", type=Path, default=HERE / "settings.toml")
    arguments = parser.parse_args()
    module, function = STAGES[arguments.stage]
    getattr(import_module(f"recipes.upscaler.{module}"), function)(load_settings(arguments.settings))


if __name__ == "__main__":
    main()
