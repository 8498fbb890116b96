"""``python -m recipes.box STAGE``; what each stage makes stands in README.md."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from .settings import HERE, load_settings

STAGES = {  # name on the command line -> module, function
    "autoencoder": ("autoencoder", "train_autoencoder"),
    "latents": ("latents", "cache_latents"),
    "text": ("text", "train_text"),
    "unet": ("unet", "train_unet"),
    "export": ("export", "export"),
    "judge": ("judge", "train_judge"),
    "counter": ("counter", "train_counter"),
    "exam": ("exam", "hold_exam"),
    "heads": ("heads", "study_heads"),
    "tiles": ("tiles", "study_tiles"),
    "gallery": ("gallery", "draw_gallery"),
    "card": ("card", "write_card"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recipes.box")
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--settings", type=Path, default=HERE / "settings.toml")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)
    module, function = STAGES[arguments.stage]
    getattr(import_module(f"recipes.box.{module}"), function)(settings)


if __name__ == "__main__":
    main()
