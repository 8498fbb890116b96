"""``inkwash models``: the checkpoints and VAEs that can be drawn with, and what can be made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inkwash.cli.models_info import info
from inkwash.cli.models_pull import pull
from inkwash.cli.models_write import convert, merge, prune
from inkwash.cli.terminal import harmless, say

if TYPE_CHECKING:
    from inkwash.checkpoint.catalog import Entry
    from inkwash.checkpoint.places import Kind

models = typer.Typer(
    help="List, describe, fetch, convert, prune and merge models.",
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models.command(no_args_is_help=True)(info)
models.command(no_args_is_help=True)(pull)
models.command(no_args_is_help=True)(convert)
models.command(no_args_is_help=True)(prune)
models.command(no_args_is_help=True)(merge)

ModelsDir = Annotated[Path | None, typer.Option(help="The folder that holds models/ and embeddings/.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@models.callback()
def bare(context: typer.Context, models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """List, describe, fetch, convert, prune and merge models.  Alone: list them."""
    if context.invoked_subcommand is None:
        list_models(models_dir, as_json)


@models.command("list")
def list_models(models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """List the models that can be drawn with, their VAEs, and upscalers."""
    from inkwash.cli.models_info import catalog_of

    root, catalog = catalog_of(models_dir)
    found, vaes = catalog.entries("model"), catalog.entries("vae")
    kinds: tuple[Kind, ...] = ("upscaler", "face restorer")
    others = {kind: catalog.entries(kind) for kind in kinds}
    if as_json:
        answer = {
            "models": [{"name": entry.name, "title": entry.title, "path": str(entry.path)} for entry in found],
            "vaes": [{"name": entry.name, "path": str(entry.path)} for entry in vaes],
            "upscalers": [{"name": entry.name, "path": str(entry.path)} for entry in others["upscaler"]],
            "face_restorers": [{"name": entry.name, "path": str(entry.path)} for entry in others["face restorer"]],
            "models_dir": str(root),
        }
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for entry in found:
        print(f"{harmless(entry.name):32} {harmless(entry.title):48} {_size(entry)}")
    for entry in vaes:
        print(f"{harmless(entry.name):32} VAE {harmless(entry.relative):44} {_size(entry)}")
    for kind, entries in others.items():
        for entry in entries:
            print(f"{harmless(entry.name):32} {f'{kind} {harmless(entry.relative)}':48} {_size(entry)}")
    say(f"Looked in {', '.join(map(str, catalog.roots))} and the model in the box.")
    say(
        f"New .safetensors checkpoints go into {root / 'models' / 'Stable-diffusion'}; other folders: --models-dir PATH"
    )


def _size(entry: Entry) -> str:
    """A file's size in MB; nothing for folders."""
    return f"{entry.path.stat().st_size / 1e6:7.0f} MB" if entry.path.is_file() else ""
