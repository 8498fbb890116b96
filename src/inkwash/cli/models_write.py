"""``inkwash models convert|prune|merge``: models made of models.  ``--plan`` tells what would be written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inkwash.cli.bars import progress
from inkwash.cli.models_info import catalog_of
from inkwash.cli.terminal import say, short
from inkwash.core import files
from inkwash.core.errors import InvalidRequest

if TYPE_CHECKING:
    from inkwash.checkpoint.making import Making
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
    from inkwash.checkpoint.making import Making

    if target.suffix:
        _check_target(target, overwrite)
    elif target.exists():
        raise InvalidRequest(f"{target} exists already.", "Choose the name of a new folder.")
    making = Making(task="convert", sources=(source,), dtype=dtype, folder=not target.suffix)
    _make(making, target, models_dir, plan, as_json)


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
    from inkwash.checkpoint.making import Making

    _check_target(target, overwrite)
    making = Making(task="prune", sources=(source,), dtype=dtype, ema=ema)
    _make(making, target, models_dir, plan, as_json)


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
    from inkwash.checkpoint.making import Making

    _check_target(target, overwrite)
    sources = tuple(name for name in (a, b, c) if name is not None)
    making = Making(task="merge", sources=sources, dtype=dtype, mode=mode, alpha=alpha, blocks=blocks, base=base)
    _make(making, target, models_dir, plan, as_json)


def _make(making: Making, target: Path, models_dir: Path | None, only: bool, as_json: bool) -> None:
    from inkwash.checkpoint.making import planned

    with planned(making, catalog_of(models_dir)[1]) as plan:
        if not only:
            files.check_room(target, plan.nbytes)
            with progress(f"Writing {short(target)}") as tell:
                plan.write(target, tell)
        _report(plan, target, only, as_json)


def _check_target(target: Path, overwrite: bool) -> None:
    if target.suffix.lower() != ".safetensors":
        raise InvalidRequest(f"{target} does not end with .safetensors.", "Inkwash writes safetensors, never pickles.")
    if target.exists() and not overwrite:
        raise InvalidRequest(f"{target} exists already.", "Choose another name, or add --overwrite.")


def _report(planned: Plan, target: Path, only: bool, as_json: bool) -> None:
    if as_json:
        from inkwash.checkpoint.making import told

        answer = {"path": str(target), "written": not only, **told(planned, target), "metadata": dict(planned.metadata)}
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for note in planned.notes:
        say(f"note: {note}")
    for what, amount in planned.dropped.items():
        say(f"{'would leave' if only else 'left'} out: {what}, {amount / 1e6:.1f} MB")
    verb = "would write" if only else "wrote"
    print(f"{verb} {short(target)}: {len(planned.tensors)} tensors, {planned.nbytes / 1e6:.1f} MB")
