"""``inkwash layers``: a picture that is redrawn part by part, each redraw a layer that can be hidden or taken back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from inkwash.cli.asking import request_of
from inkwash.cli.edits import Words, check_mask, load
from inkwash.cli.flags import takes
from inkwash.cli.orders import engine_of, order_of
from inkwash.cli.panels import DRAWING
from inkwash.cli.panels_edits import KEEP, MASKED, REDRAWING
from inkwash.cli.terminal import harmless, short
from inkwash.core import limits, settings
from inkwash.core.errors import InvalidRequest

if TYPE_CHECKING:
    from inkwash.core.layers import Layers

layers = typer.Typer(name="layers", help="Redraw a picture part by part, in layers.", no_args_is_help=True)

File = Annotated[Path, Argument(help="An OpenRaster file (.ora).")]
Number = Annotated[int, Argument(help="Of the layer, from 0, the lowest; see list.")]


@layers.command()
def new(picture: Annotated[Path, Argument(help="The lowest layer.")], file: File) -> None:
    """Begin a layered file with a picture."""
    from inkwash.core import images
    from inkwash.core.layers import Layers, save

    if file.exists():
        raise InvalidRequest(f"{file} is there already.", "Choose another name.")
    save(Layers.of(load(picture), images.read_metadata(picture).infotext), file)
    print(f"Saved to {short(file.absolute())}")


@layers.command("list")
def listing(file: File, as_json: Annotated[bool, Option("--json", help="One JSON object.")] = False) -> None:
    """Show the layers, the lowest first."""
    from inkwash.core.layers import load as read

    found = read(file)
    if as_json:
        rows = [
            {"number": number, "name": layer.name, "visible": layer.visible, "recipe": layer.recipe}
            for number, layer in enumerate(found.layers)
        ]
        print(json.dumps({"width": found.size[0], "height": found.size[1], "layers": rows}, ensure_ascii=False))
        return
    for number, layer in enumerate(found.layers):
        print(f"{number:3}  {'shown ' if layer.visible else 'hidden'}  {harmless(layer.name)}")


@layers.command(no_args_is_help=True)
@takes(MASKED, REDRAWING, KEEP, DRAWING)
def redraw(
    context: typer.Context,
    picture: File,
    prompt: Words = "",
    *,
    mask: Path | None,
    mask_alpha: bool,
    latent_mask: Path | None,
    **flags: Any,
) -> None:
    """Redraw what a mask shows of the flattened picture, as a new layer."""
    from inkwash.cli.batch import keep_sources
    from inkwash.cli.drawing import drawn, report
    from inkwash.core.layers import load as read
    from inkwash.core.layers import redrawn, save
    from inkwash.core.masks import alpha_mask, flattened, request_mask

    check_mask(mask, mask_alpha)
    document, here = read(picture), settings.load()
    seen = document.flattened()
    painted = alpha_mask(seen) if mask is None else load(mask)
    latent = load(latent_mask) if latent_mask else None
    base = dataclasses.replace(request_of(flags, prompt=prompt), batch_size=1, batch_count=1)
    request = dataclasses.replace(base, init_image=flattened(seen), mask=painted, latent_mask=latent)
    if flags["keep_source"]:
        keep_sources(request, here)
    order = order_of(limits.check(request, here.limits), flags, here, "img2img-images")
    saved, result = drawn(order, engine_of(context, flags, here))
    report(order, saved, result)
    if result is None:
        raise typer.Exit(130)
    redone = request_mask(request)
    if redone is None or result.images[0].size != document.size:
        raise InvalidRequest(
            f"The result is {result.images[0].size}, the layers {document.size}: it was saved, but not as a layer.",
            "Leave out --width, --height and --hires, or use --only-masked.",
        )
    save(document.over(redrawn(prompt or "redraw", result.images[0], redone, result.infotexts[0])), picture)


@layers.command()
def show(file: File, number: Number) -> None:
    """Show a hidden layer."""
    _change(file, lambda document: document.shown(number, True))


@layers.command()
def hide(file: File, number: Number) -> None:
    """Hide a layer."""
    _change(file, lambda document: document.shown(number, False))


@layers.command()
def move(file: File, number: Number, to: Annotated[int, Argument(help="Its new number.")]) -> None:
    """Move a layer up or down."""
    _change(file, lambda document: document.moved(number, to))


@layers.command()
def revert(file: File, number: Number) -> None:
    """Take a redraw back for good."""
    _change(file, lambda document: document.without(number))


@layers.command()
def flatten(file: File, out: Annotated[Path, Argument(help="A .png, .jpg or .webp file.")]) -> None:
    """Save what is seen as one picture; its text is that of the uppermost shown layer that has one."""
    from inkwash.core import images
    from inkwash.core.layers import load as read

    document = read(file)
    texts = [layer.recipe for layer in document.layers if layer.visible and layer.recipe]
    images.save(document.flattened(), out, texts[-1] if texts else "")
    print(f"Saved to {short(out.absolute())}")


@layers.command()
def export(file: File, out: Annotated[Path, Argument(help="A .psd file.")]) -> None:
    """Save the layers for an editor that reads no OpenRaster, as a Photoshop file."""
    from inkwash.core.layers import load as read
    from inkwash.core.psd import save_psd

    if out.suffix.lower() != ".psd":
        raise InvalidRequest(f"{out} does not end in .psd.", "Name it so; OpenRaster files are layered already.")
    save_psd(read(file), out)
    print(f"Saved to {short(out.absolute())}")


def _change(file: Path, change: Callable[[Layers], Layers]) -> None:
    """Read, change, write whole: a file that cannot be read is left as it is."""
    from inkwash.core.layers import load as read
    from inkwash.core.layers import save

    save(change(read(file)), file)
