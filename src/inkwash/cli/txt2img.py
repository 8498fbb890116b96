"""``inkwash txt2img``: flags -> GenerateRequest -> pictures."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer import Argument

from inkwash.cli.asking import request_of
from inkwash.cli.flags import takes
from inkwash.cli.orders import engine_of, order_of
from inkwash.cli.panels import DRAWING
from inkwash.core import limits, settings
from inkwash.core.parameters import help_of


@takes(DRAWING)
def txt2img(
    context: typer.Context, prompt: Annotated[str, Argument(help=help_of("prompt"))], **flags: Any
) -> None:  # fmt: skip
    """Draw pictures from words."""
    from inkwash.cli.drawing import draw  # rich and Pillow: not for --help

    request, here = request_of(flags, prompt=prompt), settings.load()
    order = order_of(limits.check(request, here.limits), flags, here, "txt2img-images")
    raise typer.Exit(draw(order, engine_of(context, flags, here)))
