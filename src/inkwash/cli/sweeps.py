"""``inkwash sweep`` and ``inkwash words``: one request many ways, as pictures and on one labelled sheet."""

from __future__ import annotations

import dataclasses
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument

from inkwash.cli.asking import request_of
from inkwash.cli.flags import option, takes
from inkwash.cli.orders import engine_of, order_of
from inkwash.cli.panels import DRAWING
from inkwash.core import limits, settings
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest

if TYPE_CHECKING:
    from PIL.Image import Image

    from inkwash.cli.saving import Saved, Saver

AXES, FOLDER = "Axes", "txt2img-grids"
Source = Annotated[Path | None, option("Source", "Draw from this picture, as img2img does.", "--from")]
Strength = Annotated[float, option("Source", "With --from: 0 returns it, 1 keeps nothing.", "--strength", "-d")]
Sheet = Callable[[Sequence["Image"]], "Image"]


@takes(DRAWING)
def sweep(
    context: typer.Context,
    prompt: Annotated[str, Argument(help='What the pictures show; with --matrix "base | option | option".')],
    x: Annotated[
        str | None, option(AXES, 'Name and values: "steps: 5-20 (+5)", "sampler: Euler, Heun".', "--x")
    ] = None,
    y: Annotated[str | None, option(AXES, "Likewise, for the rows.", "--y")] = None,
    z: Annotated[str | None, option(AXES, "Likewise, for further sheets.", "--z")] = None,
    matrix: Annotated[bool, option(AXES, "Every combination of the prompt's options.", "--matrix")] = False,
    contact: Annotated[bool, option(AXES, "Sixteen seeds, four by four.", "--contact")] = False,
    picture: Source = None,
    strength: Strength = 0.75,
    **flags: Any,
) -> None:
    """Draw every combination of some values, on one labelled sheet."""
    from inkwash.core.sheets import captioned, plot
    from inkwash.generation import grid

    if [bool(x or y or z), matrix, contact].count(True) != 1:
        raise InvalidRequest("What is to vary?", 'Give --x "steps: 5-20 (+5)" (and --y, --z), --matrix or --contact.')
    base = _base(request_of(flags, prompt=prompt, denoising_strength=strength), picture)
    if matrix or contact:
        one = grid.matrix(base) if matrix else grid.seeds(base)
        _draw(
            context,
            flags,
            grid.sweep(base, one).requests,
            lambda cells: captioned(cells, one.labels(), 4 if contact else None),
        )
        return
    found = grid.sweep(base, *(_axis(text, base) for text in (x, y, z)))
    labels = [axis.labels() for axis in (found.x, found.y, found.z)]
    _draw(context, flags, found.requests, lambda cells: plot(cells, *labels))


@takes(DRAWING)
def words(
    context: typer.Context,
    prompt: Annotated[str, Argument(help="The prompt whose words are tried.")],
    picture: Source = None,
    strength: Strength = 0.75,
    **flags: Any,
) -> None:
    """Show what each word of a prompt does: the same seed drawn without it, side by side."""
    from inkwash.core.sheets import captioned
    from inkwash.generation import grid

    base = _base(request_of(flags, prompt=prompt, denoising_strength=strength), picture)
    axis = grid.without_each_word(base)
    _draw(context, flags, grid.sweep(base, axis).requests, lambda cells: captioned(cells, axis.labels()))


def _base(request: GenerateRequest, picture: Path | None) -> GenerateRequest:
    """With one seed for all cells, and the picture they start from."""
    from inkwash.core import images

    seed = random.SystemRandom().randrange(2**32) if request.seed < 0 else request.seed
    return dataclasses.replace(request, seed=seed, init_image=images.load(picture) if picture else None)


def _axis(text: str | None, base: GenerateRequest) -> Any:
    from inkwash.generation import grid

    if text is None:
        return grid.ONE
    name, colon, values = text.partition(":")
    if not colon:
        raise InvalidRequest(f"{text!r} is no axis.", 'Write the name, a colon and values: "cfg: 3-9 (+2)".')
    return grid.axis(name.strip(), values, base)


def _draw(context: typer.Context, flags: dict[str, Any], requests: Sequence[GenerateRequest], page: Sheet) -> None:
    """Check every cell before the first is drawn; save each as it is finished, then the sheet."""
    from inkwash.cli.drawing import drawn_together, told
    from inkwash.cli.terminal import say, short

    started, here = time.monotonic(), settings.load()
    if flags["save_steps"]:
        raise InvalidRequest("--save-steps is for single pictures.", "Draw the cell you mean with inkwash txt2img.")
    requests = [limits.check(request, here.limits) for request in requests]
    order = order_of(requests[0], flags, here, FOLDER)
    saved, results = drawn_together(order, requests, engine_of(context, flags, here))
    sheets = []
    if results is not None:
        cells = [image for result in results for image in result.images]
        sheets.append(_save_sheet(page(cells), order.saver, saved))
    seconds = round(time.monotonic() - started, 3)
    if flags["as_json"]:
        answer = told(saved, seconds, [], results is None) | {"sheets": [str(path) for path in sheets]}
        print(json.dumps(answer, ensure_ascii=False))
    else:
        for path in [*sheets, *(picture.path for picture in saved)]:
            print(f"Saved to {short(path)}")
        say(f"{len(saved)} of {len(requests)} pictures in {seconds:.1f} s.")
    raise typer.Exit(130 if results is None else 0)


def _save_sheet(sheet: Image, saver: Saver, saved: Sequence[Saved]) -> Path:
    """Beside the cells, under a name nobody has; its text is the first cell's."""
    from inkwash.core import files, images

    data = images.encode(sheet, saved[0].infotext, saver.format, saver.quality)
    number = 0
    while not files.write_new(path := saver.folder / f"grid-{number:04}{images.SUFFIXES[saver.format]}", data):
        number += 1
    return path
