"""A1111's scripts: one request drawn many times, by the arguments of the script in A1111's order.

A script that is added needs a line in SCRIPTS, and a plan (``series``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue

from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest
from inkwash.core.sheets import captioned
from inkwash.generation import grid
from inkwash.server.a1111 import tiles, xyz
from inkwash.server.a1111.arguments import UPSCALERS, Argument, Arguments
from inkwash.server.a1111.series import Drawn, Outcome, Piece, Plan, each, with_seed
from inkwash.server.errors import Refusal

Planned = tuple[Plan, int]
"""A plan, and how many jobs it takes."""


@dataclass(frozen=True)
class Script:
    """plan: from the request, the arguments, and the tab the call is of."""

    name: str
    tabs: tuple[str, ...]  # of "txt2img", "img2img"
    arguments: tuple[Argument, ...]
    plan: Callable[[GenerateRequest, Arguments, str], Planned]


def planned(
    name: str, args: Sequence[JsonValue], tab: str, request: GenerateRequest, upscalers: Sequence[str]
) -> Planned:
    """upscalers: in the order that indexes count.

    Raises Refusal for an unknown script, InvalidRequest for senseless arguments.
    """
    script = SCRIPTS.get(name.casefold().strip())
    if script is None or tab not in script.tabs:
        raise Refusal(422, "script_not_found", f"Script not found: {name[:80]!r}.",
                      "GET /sdapi/v1/scripts lists what there is.", field="script_name")  # fmt: skip
    return script.plan(request, Arguments(script.arguments, args, upscalers), tab)


def names(tab: str) -> list[str]:
    """In A1111's spelling."""
    return [script.name for script in SCRIPTS.values() if tab in script.tabs]


def info(upscalers: Sequence[str]) -> list[dict[str, Any]]:
    """As /script-info tells them: one entry a script and tab."""
    return [
        {
            "name": script.name,
            "is_alwayson": False,
            "is_img2img": tab == "img2img",
            "args": [argument.told(upscalers) for argument in script.arguments],
        }
        for tab in ("txt2img", "img2img")
        for script in SCRIPTS.values()
        if tab in script.tabs
    ]


def prompt_matrix(request: GenerateRequest, args: Arguments, tab: str) -> Planned:
    """Every combination of the prompt's options, on one sheet that stands before them."""
    request = with_seed(request)
    field = {"positive": "prompt", "negative": "negative_prompt"}[args.choice(2)]
    delimiter = {"comma": ", ", "space": " "}[args.choice(3)]
    axis = grid.matrix(request, field, delimiter, at_start=args.flag(0))
    cells = grid.sweep(request, axis).requests
    if args.flag(1):
        cells = tuple(replace(cell, seed=cell.seed + index) for index, cell in enumerate(cells))
    columns = 2 ** math.ceil(math.log2(len(cells)) / 2)
    gap = args.whole(4)

    def plan() -> Plan:
        outcome = yield from each(cells)
        pictures = [piece.image() for piece in outcome.pieces]
        sheets = [captioned(pictures, axis.labels(), columns, gap)] if pictures else []
        return Outcome(outcome.pieces, sheets)

    return plan(), len(cells)


CURVES: Mapping[str, Callable[[float], float]] = {
    "Linear": lambda share: share,
    "Aggressive": lambda share: math.sin(share * math.pi / 2),
    "Lazy": lambda share: 1 - math.cos(share * math.pi / 2),
}


def loopback(request: GenerateRequest, args: Arguments, tab: str) -> Planned:
    """Each picture is drawn over the one before it; with n_iter, so many series, of which the last pictures count."""
    request = with_seed(request)
    loops, series = args.whole(0), request.batch_count
    if not 1 <= loops <= grid.MOST_CELLS:
        raise InvalidRequest(f"{loops} loops are asked for.", f"Take 1 to {grid.MOST_CELLS}.", "script_args")
    if args.choice(3) != "None":
        raise InvalidRequest("Loopback cannot interrogate pictures here.", 'Send "None".', "script_args")
    curve, first, last = CURVES[args.choice(2)], request.denoising_strength or 0.0, args.number(1)
    one = replace(request, batch_size=1, batch_count=1)

    def strength(loop: int) -> float:
        return first if loops == 1 else first + (last - first) * curve(loop / (loops - 1))

    def plan() -> Plan:
        shown, seed = list[Piece](), request.seed
        for _ in range(series):
            pieces, picture = list[Piece](), one
            for loop in range(loops):
                drawn: Drawn = yield [replace(picture, seed=seed, denoising_strength=strength(loop))]
                seed += 1
                pieces += [piece for found in drawn for piece in found]
                if len(pieces) <= loop or pieces[-1].ended_early:
                    break
                picture = replace(one, init_image=pieces[-1].image(), inpainting_fill="original")
            shown += pieces if series == 1 else pieces[-1:]
        return Outcome(shown)

    return plan(), loops * series


def sd_upscale(request: GenerateRequest, args: Arguments, tab: str) -> Planned:
    """Enlarged, then redrawn in tiles."""
    return each([replace(request, sd_upscale=tiles.upscale(args.sent, args.upscalers))]), 1


_UPSCALE = (
    Argument("", ""),
    Argument("Tile overlap", 64, low=0, high=256, step=16),
    Argument("Upscaler", "None", choices=UPSCALERS),
    Argument("Scale Factor", 2.0, low=1, high=4, step=0.05),
)
_MATRIX = (
    Argument("Put variable parts at start of prompt", False),
    Argument("Use different seed for each picture", False),
    Argument("Select prompt", "positive", choices=("positive", "negative")),
    Argument("Select joining char", "comma", choices=("comma", "space")),
    Argument("Grid margins (px)", 0, low=0, high=500, step=2),
)
_LOOPBACK = (
    Argument("Loops", 4, low=1, high=32, step=1),
    Argument("Final denoising strength", 0.5, low=0, high=1, step=0.01),
    Argument("Denoising strength curve", "Linear", choices=tuple(CURVES)),
    Argument("Append interrogated prompt at each iteration", "None", choices=("CLIP", "DeepBooru", "None")),
)
BOTH = ("txt2img", "img2img")
SCRIPTS: dict[str, Script] = {
    script.name: script
    for script in (
        Script("prompt matrix", BOTH, _MATRIX, prompt_matrix),
        Script("x/y/z plot", BOTH, xyz.ARGUMENTS, xyz.planned),
        Script(tiles.UPSCALE, ("img2img",), _UPSCALE, sd_upscale),
        Script("loopback", ("img2img",), _LOOPBACK, loopback),
    )
}
