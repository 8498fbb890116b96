"""``inkwash models``: the checkpoints and VAEs that can be drawn with, and where they are looked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from inkwash.cli.terminal import harmless, say
from inkwash.core import settings


def models(
    models_dir: Annotated[Path | None, typer.Option(help="The folder that holds models/ and embeddings/.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """List the models that can be drawn with."""
    from inkwash.checkpoint.catalog import Catalog
    from inkwash.checkpoint.hashes import HashCache

    root = models_dir or settings.load().models_dir
    catalog = Catalog([root], HashCache(settings.cache_folder() / "hashes.json"))
    found, vaes = catalog.entries("model"), catalog.entries("vae")
    if as_json:
        answer = {
            "models": [{"name": entry.name, "title": entry.title, "path": str(entry.path)} for entry in found],
            "vaes": [{"name": entry.name, "path": str(entry.path)} for entry in vaes],
            "models_dir": str(root),
        }
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for entry in found:
        print(f"{harmless(entry.name):32} {harmless(entry.title):48} {_size(entry.path)}")
    for entry in vaes:
        print(f"{harmless(entry.name):32} VAE {harmless(entry.relative):44} {_size(entry.path)}")
    say(f"Looked in {root} and the model in the box.")
    say(
        f"New .safetensors checkpoints go into {root / 'models' / 'Stable-diffusion'}; other folders: --models-dir PATH"
    )


def _size(path: Path) -> str:
    """A file's size in MB; nothing for folders."""
    return f"{path.stat().st_size / 1e6:7.0f} MB" if path.is_file() else ""
