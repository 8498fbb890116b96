"""``inkwash models convert|prune|merge``: models made of models.  ``--plan`` tells what would be written."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inkwash.cli.bars import progress
from inkwash.cli.models_info import catalog_of
from inkwash.cli.terminal import say, short
from inkwash.core.errors import InvalidRequest

if TYPE_CHECKING:
    from inkwash.checkpoint.catalog import Catalog
    from inkwash.checkpoint.files import Source
    from inkwash.checkpoint.merge import Part
    from inkwash.checkpoint.plan import Plan

SOURCE = "A model's name, title, hash or path."
Dtype = Annotated[str | None, typer.Option(help="float16, bfloat16 or float32 for the weights; else as stored.")]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Tell what would be written, and write nothing.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file of that name.")]
ModelsDir = Annotated[Path | None, typer.Option(help="The folder that holds models/ and embeddings/.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def convert(
    source: Annotated[str, typer.Argument(help=SOURCE)],
    target: Annotated[Path, typer.Argument(help="FILE.safetensors, or a new folder in diffusers' layout.")],
    dtype: Dtype = None,
    plan: PlanOnly = False,
    overwrite: Overwrite = False,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Convert .ckpt, .pt and diffusers folders to .safetensors, and single files to folders, bit for bit."""
    from inkwash.checkpoint import open

    if target.suffix:
        _check_target(target, overwrite)
    elif target.exists():
        raise InvalidRequest(f"{target} exists already.", "Choose the name of a new folder.")
    path = catalog_of(models_dir)[1].find(source).path
    with open(path) as opened:
        _finish(_converted(path, opened, target, dtype), target, plan, as_json)


def _converted(path: Path, source: Source, target: Path, dtype: str | None) -> Plan:
    """A single file stays as it is unless it becomes a folder."""
    from inkwash.checkpoint import detect
    from inkwash.checkpoint.convert import ldm_file
    from inkwash.checkpoint.pipeline import diffusers_folder
    from inkwash.checkpoint.select import everything
    from inkwash.checkpoint.weights import stored_weights

    if target.suffix and not path.is_dir():
        return everything(source, dtype)
    spec = detect(path)
    weights = stored_weights(source, spec, dtype)
    return ldm_file(weights, spec) if target.suffix else diffusers_folder(weights, spec)


def prune(
    source: Annotated[str, typer.Argument(help=SOURCE)],
    target: Annotated[Path, typer.Argument(help="FILE.safetensors")],
    ema: Annotated[bool, typer.Option("--ema", help="Keep the U-Net's EMA weights instead of the plain ones.")] = False,
    dtype: Dtype = None,
    plan: PlanOnly = False,
    overwrite: Overwrite = False,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a model without what drawing does not need: optimiser states, EMA copies, stray tensors."""
    from inkwash.checkpoint import detect, open
    from inkwash.checkpoint.select import pruned

    _check_target(target, overwrite)
    path = catalog_of(models_dir)[1].find(source).path
    if path.is_dir():
        raise InvalidRequest(f"{path} is a folder, which holds nothing to prune.", "Use: inkwash models convert")
    with open(path) as opened:
        _finish(pruned(opened, detect(path), ema=ema, dtype=dtype), target, plan, as_json)


def merge(
    a: Annotated[str, typer.Argument(help=f"{SOURCE}  Its names, tables and metadata are kept.")],
    b: Annotated[str, typer.Argument(help=SOURCE)],
    c: Annotated[str | None, typer.Argument(help="For add-difference: what is subtracted from B.")] = None,
    target: Annotated[Path, typer.Option("--out", "-o", help="FILE.safetensors")] = Path("merged.safetensors"),
    alpha: Annotated[float, typer.Option(help="A (1 - alpha) + B alpha, or A + (B - C) alpha.")] = 0.5,
    mode: Annotated[str, typer.Option(help="weighted-sum or add-difference.")] = "",
    blocks: Annotated[
        str | None, typer.Option(help="Numbers for IN00-IN11, M00, OUT00-OUT11 instead of alpha.")
    ] = None,
    base: Annotated[float | None, typer.Option(help="With --blocks: of text encoders and VAE.  Else alpha.")] = None,
    dtype: Dtype = None,
    plan: PlanOnly = False,
    overwrite: Overwrite = False,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Merge two or three models, tensor by tensor; the recipe is written into the file."""
    from inkwash.checkpoint.blocks import parse_blocks
    from inkwash.checkpoint.merge import Recipe, merged, mode_named

    _check_target(target, overwrite)
    _, catalog = catalog_of(models_dir)
    with ExitStack() as stack:
        parts = [_part(catalog, name, stack) for name in (a, b, c) if name is not None]
        keys = parts[0].source.header.tensors
        parsed = parse_blocks(blocks, keys, alpha if base is None else base) if blocks is not None else None
        recipe = Recipe(mode_named(mode, len(parts)), alpha, parsed)
        _finish(merged(parts, recipe, dtype), target, plan, as_json)


def _part(catalog: Catalog, name: str, stack: ExitStack) -> Part:
    from inkwash.checkpoint import detect, open
    from inkwash.checkpoint.merge import Part

    entry = catalog.with_hash(catalog.find(name))
    return Part(stack.enter_context(open(entry.path)), detect(entry.path), entry.sha256)


def _check_target(target: Path, overwrite: bool) -> None:
    if target.suffix.lower() != ".safetensors":
        raise InvalidRequest(f"{target} does not end with .safetensors.", "Inkwash writes safetensors, never pickles.")
    if target.exists() and not overwrite:
        raise InvalidRequest(f"{target} exists already.", "Choose another name, or add --overwrite.")


def _finish(planned: Plan, target: Path, only: bool, as_json: bool) -> None:
    if not only:
        with progress(f"Writing {short(target)}") as tell:
            planned.write(target, tell)
    _report(planned, target, only, as_json)


def _report(planned: Plan, target: Path, only: bool, as_json: bool) -> None:
    if as_json:
        answer = {
            "path": str(target),
            "written": not only,
            "tensors": len(planned.tensors),
            "bytes": planned.nbytes,
            "dropped": dict(planned.dropped),
            "notes": list(planned.notes),
            "metadata": dict(planned.metadata),
        }
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for note in planned.notes:
        say(f"note: {note}")
    for what, amount in planned.dropped.items():
        say(f"{'would leave' if only else 'left'} out: {what}, {amount / 1e6:.1f} MB")
    verb = "would write" if only else "wrote"
    print(f"{verb} {short(target)}: {len(planned.tensors)} tensors, {planned.nbytes / 1e6:.1f} MB")
