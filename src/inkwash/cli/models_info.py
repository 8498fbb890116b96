"""``inkwash models info``: what a model file is and tells of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inkwash.cli.terminal import harmless
from inkwash.core import settings

if TYPE_CHECKING:
    from inkwash.checkpoint.catalog import Catalog

LONGEST = 300  # characters of one metadata value shown; --json shows all


def info(
    name: Annotated[str, typer.Argument(help="A model's name, title, hash or path; a LoRA or VAE by its path.")],
    models_dir: Annotated[Path | None, typer.Option(help="The folder that holds models/ and embeddings/.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show a model's family, sizes, dtype, prediction, hashes, training tags and metadata."""
    from inkwash.checkpoint.describe import describe

    _, catalog = catalog_of(models_dir)
    told = describe(catalog.find(name).path, catalog.hashes)
    if as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    rows = list(_rows(told))
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        print(f"{harmless(key):{width}}  {harmless(value).replace(chr(10), ' ')}")


def catalog_of(models_dir: Path | None) -> tuple[Path, Catalog]:
    """(the main folder, the catalog of it and the extra ones)."""
    from inkwash.checkpoint.catalog import Catalog
    from inkwash.checkpoint.hashes import HashCache

    roots = settings.load().roots(models_dir)
    return roots[0], Catalog(roots, HashCache(settings.cache_folder() / "hashes.json"))


def _rows(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "path", told["path"]
    yield from _model_rows(told)
    yield "tensors", f"{told['tensors']}, {told['bytes'] / 1e6:.1f} MB"
    yield "dtypes", ", ".join(f"{kind} {amount / 1e6:.1f} MB" for kind, amount in told["dtypes"].items())
    yield from told["hashes"].items()
    if told["tags"]:
        yield "training tags", ", ".join(f"{tag} ({count})" for tag, count in told["tags"].items())
    for key, value in told["metadata"].items():
        if key != "ss_tag_frequency":
            yield f"  {key}"[:60], value if len(value) <= LONGEST else value[:LONGEST] + "..."


def _model_rows(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if told["family"] is None:
        yield "not a checkpoint", told["reason"]
        return
    unet, vae = told["unet"], told["vae"]
    yield "family", f"{told['family']}, {told['layout']} layout"
    yield "prediction", told["prediction"]
    yield "dtype", told["dtype"] + (", with EMA weights" if told["has_ema"] else "")
    yield "native size", f"{told['native_size']} px"
    yield "U-Net", f"widths {_joined(unet['channels'])}; {unet['in_channels']} input channels"
    yield "VAE", f"widths {_joined(vae['channels'])}; {vae['latent_channels']} latent channels"
    for text in told.get("texts") or [told["text"]]:
        yield "text encoder", f"width {text['width']}, {text['layers']} layers"
    if told["note"]:
        yield "note", told["note"]
    for note in told["notes"]:
        yield "assumed", note


def _joined(numbers: Any) -> str:
    return ", ".join(map(str, numbers))
