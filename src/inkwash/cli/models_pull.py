"""``inkwash models pull``: a model from the Hugging Face hub into its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inkwash.cli.bars import progress
from inkwash.cli.models_info import catalog_of
from inkwash.cli.terminal import harmless, say, short
from inkwash.core.errors import InvalidRequest

if TYPE_CHECKING:
    from inkwash.checkpoint.places import FileKind
    from inkwash.checkpoint.pull import Pull


def pull(
    name: Annotated[str, typer.Argument(help="A name of --list, OWNER/REPOSITORY or OWNER/REPOSITORY/FILE.")] = "",
    listed: Annotated[bool, typer.Option("--list", help="Well-known models, by what they are for.")] = False,
    kind: Annotated[
        str | None, typer.Option(help="model, vae, lora, embedding, controlnet or upscaler; else as its header says.")
    ] = None,
    saved: Annotated[str, typer.Option("--name", help="Its name here, without ending; else the hub's.")] = "",
    plan: Annotated[bool, typer.Option("--plan", help="Tell what would be fetched, and fetch nothing.")] = False,
    models_dir: Annotated[Path | None, typer.Option(help="The folder that holds models/ and embeddings/.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Fetch a model from the Hugging Face hub: continued where it broke off, checked, whole or not at all.

    HF_ENDPOINT names a mirror, HF_TOKEN opens gated models.
    """
    from inkwash.checkpoint.hub import Hub
    from inkwash.checkpoint.pull import carry_out, check_room, prepare

    if listed:
        return _list(as_json)
    if not name:
        raise InvalidRequest("No model is named.", "See what there is: inkwash models pull --list")
    hub = Hub()
    prepared = prepare(hub, name, catalog_of(models_dir)[0], _kind(kind), saved)
    for note in prepared.notes:
        say(f"note: {harmless(note)}")
    if plan:
        check_room(prepared)
        return _report(prepared, "would fetch", as_json)
    with progress(f"Fetching {prepared.target.name}", bytes_=True) as tell:
        fetched = carry_out(hub, prepared, tell)
    _report(prepared, "fetched" if fetched else "already here:", as_json)


def _kind(name: str | None) -> FileKind | None:
    from inkwash.checkpoint.places import HOMES

    found = next((kind for kind in HOMES if kind == name), None)
    if name is not None and found is None:
        raise InvalidRequest(f"kind is {name!r}; known are {', '.join(HOMES)}.", "Choose one of these.")
    return found


def _report(prepared: Pull, done: str, as_json: bool) -> None:
    if as_json:
        answer = {
            "path": str(prepared.target),
            "kind": prepared.kind,
            "repository": prepared.repository.name,
            "commit": prepared.repository.commit,
            "files": [{"name": file.name, "bytes": file.size, "sha256": file.sha256} for file in prepared.files],
            "bytes": prepared.nbytes,
            "fetched": done == "fetched",
            "notes": list(prepared.notes),
        }
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    print(f"{done} {harmless(short(prepared.target))}: {prepared.nbytes / 1e6:.1f} MB from {prepared.repository.name}")
    if prepared.kind == "model" and done == "fetched":
        say(f'Draw with it: inkwash txt2img "a cute cat" --model "{prepared.target.name}"')


def _list(as_json: bool) -> None:
    from inkwash.checkpoint.wellknown import WELL_KNOWN

    if as_json:
        print(json.dumps({"models": [_described(one) for one in WELL_KNOWN]}, indent=2, ensure_ascii=False))
        return
    for one in WELL_KNOWN:
        facts = f"{one.kind}, {one.family}, {one.gigabytes:.2f} GB, {one.licence}"
        print(f"{one.name:18} {one.what.en}\n{'':18} {facts}; {one.repository}")
    say("Fetch one: inkwash models pull NAME.  Each has its maker's licence; read it before you use the pictures.")


def _described(one: Any) -> dict[str, Any]:
    return {
        "name": one.name, "repository": one.repository, "file": one.file, "kind": one.kind, "family": one.family,
        "gigabytes": one.gigabytes, "licence": one.licence, "what": {"en": one.what.en, "zh": one.what.zh},
    }  # fmt: skip
