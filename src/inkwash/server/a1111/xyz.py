"""A1111's x/y/z plot: every combination of the values on up to three axes, on labelled sheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from inkwash.core.choices import nearest
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest
from inkwash.core.sheets import PAPER, sheet, stacked
from inkwash.generation import grid
from inkwash.generation.grid import Axis, Sweep
from inkwash.server.a1111.arguments import Argument, Arguments
from inkwash.server.a1111.series import Outcome, Plan, with_seed

TXT2IMG, IMG2IMG, BOTH = ("txt2img",), ("img2img",), ("txt2img", "img2img")
# A1111's axes in its order, which clients count by; the axis of ``grid`` each means (None: not in this version).
AXES: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
    ("Nothing", "", BOTH),
    ("Seed", "seed", BOTH),
    ("Var. seed", "subseed", BOTH),
    ("Var. strength", "subseed_strength", BOTH),
    ("Steps", "steps", BOTH),
    ("Hires steps", "hires.steps", TXT2IMG),
    ("CFG Scale", "cfg_scale", BOTH),
    ("Image CFG Scale", None, IMG2IMG),
    ("Prompt S/R", "prompt s/r", BOTH),
    ("Prompt order", "prompt order", BOTH),
    ("Sampler", "sampler", TXT2IMG),
    ("Hires sampler", "hires.sampler", TXT2IMG),
    ("Sampler", "sampler", IMG2IMG),
    ("Checkpoint name", "model", BOTH),
    ("Negative Guidance minimum sigma", "ngms", BOTH),
    ("Sigma Churn", "s_churn", BOTH),
    ("Sigma min", "s_tmin", BOTH),
    ("Sigma max", "s_tmax", BOTH),
    ("Sigma noise", "s_noise", BOTH),
    ("Schedule type", "schedule", BOTH),
    ("Schedule min sigma", "sigma_min", BOTH),
    ("Schedule max sigma", "sigma_max", BOTH),
    ("Schedule rho", "rho", BOTH),
    ("Beta schedule alpha", None, BOTH),
    ("Beta schedule beta", None, BOTH),
    ("Eta", "eta", BOTH),
    ("Clip skip", "clip_skip", BOTH),
    ("Denoising", "denoising_strength", BOTH),
    ("Initial noise multiplier", "initial_noise_multiplier", BOTH),
    ("Extra noise", None, BOTH),
    ("Hires upscaler", "hires.upscaler", TXT2IMG),
    ("Cond. Image Mask Weight", None, IMG2IMG),
    ("VAE", "vae", BOTH),
    ("Styles", "styles", BOTH),
    ("UniPC Order", None, BOTH),
    ("Face restore", "restore_faces", BOTH),
    ("Token merging ratio", None, BOTH),
    ("Token merging ratio high-res", None, BOTH),
    ("Always discard next-to-last sigma", "discard_penultimate_sigma", BOTH),
    ("SGM noise multiplier", None, BOTH),
    ("Refiner checkpoint", "refiner", BOTH),
    ("Refiner switch at", "refiner_switch_at", BOTH),
    ("RNG source", "noise_source", BOTH),
    ("FP8 mode", None, BOTH),
    ("Size", "size", BOTH),
)

ARGUMENTS = (
    *(
        Argument(label.format(axis), value)
        for axis in "XYZ"
        for label, value in (("{} type", 0), ("{} values", ""), ("{} values of a list", []))
    ),
    Argument("Draw legend", True),
    Argument("Include Sub Images", False),
    Argument("Include Sub Grids", False),
    Argument("Keep -1 for seeds", False),
    Argument("Vary seeds for X", False),
    Argument("Vary seeds for Y", False),
    Argument("Vary seeds for Z", False),
    Argument("Grid margins (px)", 0, low=0, high=500, step=2),
    Argument("Use text inputs instead of dropdowns", False),
)
VARY = (13, 14, 15)  # places of "vary seeds"


def planned(request: GenerateRequest, args: Arguments, tab: str) -> tuple[Plan, int]:
    """Raises InvalidRequest for an axis that is unknown, not in this version, or has senseless values."""
    vary = any(args.flag(place) for place in VARY)
    request = request if args.flag(12) and not vary else with_seed(request)
    plot = grid.sweep(request, *(_axis(args, first, request, tab) for first in (0, 3, 6)))
    cells = _seeded(plot, args)
    look = Look(args.flag(9), args.flag(10), args.flag(11), args.whole(16))
    return _plan(plot, cells, look), len(cells)


@dataclass(frozen=True)
class Look:
    """What is shown, and how: labels, the single pictures, z's sheets; gap: pixels between pictures."""

    legend: bool
    pictures: bool
    sheets: bool
    gap: int


def _plan(plot: Sweep, cells: Sequence[GenerateRequest], look: Look) -> Plan:
    """The whole first; then, if they are wanted, z's sheets and the pictures.  Cells of one model after another."""
    order = sorted(range(len(cells)), key=lambda place: _models_of(cells[place]))
    found = dict(zip(order, (yield [cells[place] for place in order]), strict=False))
    places = [found.get(place, ()) for place in range(len(cells))]
    pieces = [piece for place in places for piece in place]
    if not pieces:
        return Outcome()
    pictures = [place[0].image() if place else None for place in places]
    pages = _pages(plot, pictures, look)
    whole = stacked(pages) if len(pages) > 1 else pages[0]
    return Outcome(pieces, [whole, *(pages if look.sheets else ())], shown=look.pictures)


def _models_of(cell: GenerateRequest) -> tuple[str, ...]:
    """Cells that agree in this are drawn without another model being loaded in between."""
    return cell.model or "", cell.vae or "", cell.refiner or "", (cell.hires and cell.hires.model) or ""


def _pages(plot: Sweep, pictures: Sequence[Image.Image | None], look: Look) -> list[Image.Image]:
    """One a value of z.  None: a cell that was not drawn, because of an interrupt, which stays empty."""
    columns, rows, titles = (axis.labels() if look.legend else [""] * len(axis) for axis in (plot.x, plot.y, plot.z))
    empty = Image.new("RGB", next(picture.size for picture in pictures if picture), PAPER)
    cells, each = [picture or empty for picture in pictures], len(plot.x) * len(plot.y)
    parts = [cells[first : first + each] for first in range(0, len(cells), each)]
    return [sheet(part, columns, rows, title, look.gap) for part, title in zip(parts, titles, strict=True)]


def _seeded(plot: Sweep, args: Arguments) -> list[GenerateRequest]:
    """The cells: of one seed (random ones, if it was left open), or of seeds that count along some axes."""
    vary = [args.flag(place) for place in VARY]
    xs, ys = (len(axis) if varies else 1 for axis, varies in zip((plot.x, plot.y), vary, strict=False))
    places = [(x, y, z) for z in range(len(plot.z)) for y in range(len(plot.y)) for x in range(len(plot.x))]
    cells = []
    for cell, place in zip(plot.requests, places, strict=True):
        x, y, z = (index if varies else 0 for index, varies in zip(place, vary, strict=True))
        cells.append(replace(cell, seed=cell.seed + x + y * xs + z * xs * ys))
    return cells


def _axis(args: Arguments, first: int, request: GenerateRequest, tab: str) -> Axis:
    label, name = _named(args.value(first), first, tab)
    if name == "":
        return grid.ONE
    if name is None:
        raise InvalidRequest(
            f"The axis {label!r} is not in this version of Inkwash yet.", "Choose another.", "script_args"
        )
    if name == "denoising_strength" and request.hires is not None and request.init_image is None:
        name = "hires.denoising_strength"
    return replace(grid.axis(name, _values(args, first), request), name=label)


def _named(asked: object, first: int, tab: str) -> tuple[str, str | None]:
    """By A1111's number or label.  The label, and the axis of ``grid``."""
    axes = [(label, name) for label, name, tabs in AXES if tab in tabs]
    if isinstance(asked, int) and not isinstance(asked, bool) and 0 <= asked < len(axes):
        return axes[asked]
    for label, name in axes:
        if isinstance(asked, str) and label.casefold() == asked.casefold().strip():
            return label, name
    close = nearest(str(asked)[:80], [label for label, _ in axes])
    remedy = f"Did you mean {' or '.join(close)}?" if close else f"It is a label, or a number below {len(axes)}."
    raise InvalidRequest(f"script_args[{first}] names the axis {str(asked)[:80]!r}.", remedy, "script_args")


def _values(args: Arguments, first: int) -> str:
    """As text with commas: the list of the dropdown where one was sent, as A1111 has it, else the text."""
    text, listed = args.value(first + 1), args.value(first + 2)
    chosen = listed if isinstance(listed, list) else []
    if chosen and not args.flag(17):
        return ", ".join('"{}"'.format(str(value).replace('"', '""')) for value in chosen)
    return str(text)
