"""``inkwash enlarge``: a picture, small, to a picture, large; the road is told first."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inkwash.cli.edits import load
from inkwash.cli.flags import of, option, own, panel, takes
from inkwash.cli.orders import engine_of, memory_of, order_of
from inkwash.cli.panels import ENGINE, FACES, OUTPUT, listed
from inkwash.cli.panels_edits import KEEP, SOURCE
from inkwash.cli.terminal import say, show_error
from inkwash.core import limits, settings
from inkwash.core.choices import PICTURE_UPSCALERS, choose
from inkwash.core.errors import InkwashError, InvalidRequest

if TYPE_CHECKING:
    from inkwash.cli.drawing import Drawer
    from inkwash.core.request import GenerateRequest
    from inkwash.generation.enlarging import Pass, Target

STRENGTH = 0.35
ROADS = ("Mixture of Diffusers", "MultiDiffusion", "SD upscale")

# What speaks over what the picture says of itself.
OVER = panel(
    SOURCE,
    of("negative_prompt", "--negative", "-n", default=None,
       help="Default: as the picture's metadata says, as all below."),
    of("model", "--model", "-m", help="Likewise; else the model in the box."),
    of("vae", help="Likewise."),
    of("seed", "--seed", "-s", default=None, help="Likewise."),
    of("steps", default=None, help="Likewise."),
    of("sampler", default=None, help="Likewise."),
    of("cfg_scale", "--cfg", default=None, help="Likewise."),
)  # fmt: skip
PLAN = panel(SOURCE, own("plan", bool, False, "Only say what would be done.", "--plan"))


@takes(OVER, PLAN, FACES, KEEP, ENGINE, OUTPUT)
def enlarge(
    context: typer.Context,
    picture: Annotated[Path, typer.Argument(help="A picture, or a folder of them.")],
    to: Annotated[int | None, option(SOURCE, "Pixels of the longer side.")] = None,
    scale: Annotated[float | None, option(SOURCE, "Times the picture's size, instead; 2 without either.")] = None,
    upscaler: Annotated[
        str | None, option(SOURCE, listed(PICTURE_UPSCALERS, ", or a file; default: the best there is"))
    ] = None,
    strength: Annotated[
        float, option(SOURCE, "How much is redrawn, above 0 to 1.", "--strength", "--denoise", "-d")
    ] = STRENGTH,
    keep_structure: Annotated[float, option(SOURCE, "0 to 1: hold what is large in the picture.")] = 0.75,
    noise_inversion: Annotated[
        bool,
        option(
            SOURCE, "Begin with the noise that leads back to the picture.", "--noise-inversion/--no-noise-inversion"
        ),
    ] = True,
    road: Annotated[
        str | None, option(SOURCE, f"{', '.join(ROADS)}; default: the first that fits into memory.")
    ] = None,
    tile: Annotated[int | None, option(SOURCE, "Pixels of a tile's side; default: as the model was made for.")] = None,
    overlap: Annotated[int | None, option(SOURCE, "Pixels that tiles share; default: a quarter of a tile.")] = None,
    prompt: Annotated[
        str | None, option(SOURCE, "For every tile; default: the words of quality of the picture's own prompt.")
    ] = None,
    whole_prompt: Annotated[bool, option(SOURCE, "All of the picture's own prompt.", "--whole-prompt")] = False,
    **more: Any,
) -> None:
    """Enlarge a picture and redraw it in tiles, so that it is sharp at the new size."""
    flags = {**more, **{name: value for name, value in locals().items() if name != "more"}}
    if to is not None and scale is not None:
        raise InvalidRequest("Both --to and --scale say how large.", "Give one of them.")
    if not 0 < strength <= 1:
        raise InvalidRequest(
            f"--strength is {strength}; it must lie above 0, up to 1.",
            f"Try {STRENGTH}; for enlarging alone: inkwash refine PICTURE --strength 0.",
        )
    flags["road"] = None if road is None else choose("road", road, ROADS)
    raise typer.Exit(_all(context, picture, flags))


def _all(context: typer.Context, picture: Path, flags: Mapping[str, Any]) -> int:
    """Every picture by itself; what goes wrong with one of a folder is told and does not stop the others."""
    from inkwash.cli.batch import pictures_in

    here = settings.load()
    if not picture.is_dir():
        return _one(context, picture, flags, here)
    status = 0
    for path in pictures_in(picture):
        try:
            status = max(status, _one(context, path, flags, here))
        except InkwashError as error:
            show_error(error)
            status = 1
        if status == 130:
            break
    return status


def _one(context: typer.Context, path: Path, flags: Mapping[str, Any], here: settings.Settings) -> int:
    """Plan, tell, and draw pass by pass; only the last pass's picture is saved."""
    from inkwash.cli.batch import FOLDER, keep_sources
    from inkwash.cli.drawing import drawn, report, watched

    started, image, base = time.monotonic(), load(path), base_of(path, flags)
    passes = _planned(base, image.size, flags, here)
    say(f"{path.name}: {image.width}x{image.height} -> {len(passes)} pass{'es' * (len(passes) > 1)}")
    for number, one in enumerate(passes, 1):
        say(f"  {number}. {one.told()}")
    if flags["plan"]:
        return 0
    engine: Drawer = engine_of(context, flags, here)
    for one in passes:
        faces = {flag.name: flags[flag.name] for flag in FACES if one is passes[-1]}
        request = limits.check(dataclasses.replace(one.over(image), **faces), here.limits)
        order = dataclasses.replace(order_of(request, flags, here, FOLDER), started=started)
        if flags["keep_source"] or one is not passes[0]:
            keep_sources(request, here)  # what lies between the passes is kept: the last text names it
        if one is passes[-1]:
            saved, result = drawn(order, engine)
            report(order, saved, result)
        elif (result := watched(request, engine)) is not None:
            image = result.images[0]
        if result is None:
            return 130
    return 0


def base_of(path: Path, flags: Mapping[str, Any]) -> GenerateRequest:
    """What the picture's metadata says, and the flags over it."""
    from inkwash.core import images
    from inkwash.generation.enlarging import request_of

    known = request_of(images.read_metadata(path).infotext, whole_prompt=flags["whole_prompt"])
    told = {"prompt": flags["prompt"]} | {flag.field: flags[flag.name] for flag in OVER if flag.field}
    over = {field: value for field, value in told.items() if value is not None}
    given = {"denoising_strength": flags["strength"], "keep_structure": flags["keep_structure"]}
    return dataclasses.replace(known, **over, **given)


def _planned(
    base: GenerateRequest, size: tuple[int, int], flags: Mapping[str, Any], here: settings.Settings
) -> list[Pass]:
    from inkwash.checkpoint import detect
    from inkwash.checkpoint.upscalers import best_upscaler, upscaler_named
    from inkwash.cli.models_info import catalog_of
    from inkwash.generation.enlarging import Target, plan_enlarging
    from inkwash.runtime.device import choose as choose_device
    from inkwash.runtime.memory import available_memory

    compute, (_, catalog) = choose_device(flags["device"], flags["dtype"]), catalog_of(flags["models_dir"])
    model, wanted = catalog.find(base.model).path, flags["upscaler"]
    named = best_upscaler(catalog, model) if wanted is None else upscaler_named(catalog, wanted, PICTURE_UPSCALERS)
    names = [field.name for field in dataclasses.fields(Target)]
    target: Target = Target(**{name: flags[name] for name in names} | {"upscaler": named})
    free = available_memory(compute.device, int(memory_of(flags, here.memory).limit * 1e9) or None)
    return plan_enlarging(base, size, target, detect(model), compute.dtype, free, here.limits.side)
