"""``inkwash upscale``: pictures enlarged and faces restored, and not redrawn."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from inkwash.cli.flags import takes
from inkwash.cli.panels import ENGINE, FACES
from inkwash.cli.terminal import harmless, say, short
from inkwash.core.errors import Cancelled, InkwashError, InvalidRequest

if TYPE_CHECKING:
    from PIL.Image import Image

    from inkwash.cli.drawing import Drawer
    from inkwash.core.extras import Extras, FaceRestoration
    from inkwash.core.resizing import Size

SIZES = "--scale, --to, --width and --height"


@takes(FACES, ENGINE)
def upscale(
    context: typer.Context,
    pictures: Annotated[list[Path], Argument(help="Pictures.")],
    upscaler: Annotated[
        str, Option(help="A file in models/ESRGAN and the like by its name, or Lanczos, Nearest; None: not enlarged.")
    ] = "Inkwash 2x",
    scale: Annotated[float | None, Option(help="How many times as wide and high; 2 if nothing is said.")] = None,
    to: Annotated[int | None, Option(help="Pixels of the longer side.")] = None,
    width: Annotated[int | None, Option(help="Pixels; alone it keeps the proportions.")] = None,
    height: Annotated[int | None, Option(help="Pixels; with --width what stands over is cut.")] = None,
    face_visibility: Annotated[float, Option(help="0 to 1: of restored faces over those that were there.")] = 1.0,
    out: Annotated[Path | None, Option("--out", "-o", help="A folder, or a file ending in .png, .jpg or .webp.")]
    = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object: files, warnings, seconds.")] = False,
    **flags: Any,
) -> None:  # fmt: skip
    """Enlarge pictures with a learned upscaler or by resampling, and restore the faces in them.

    What they say of themselves is kept.
    """
    from inkwash.cli.edits import load
    from inkwash.cli.orders import engine_of
    from inkwash.core import extras, settings

    started = time.monotonic()
    here = settings.load()
    _check_sizes(scale, to, width, height)
    _check_out(out, pictures)
    opened = [load(path) for path in pictures]
    faces = _faces(flags["restore_faces"], face_visibility, flags["codeformer_weight"])
    orders = [
        extras.check(_extras(image, upscaler, scale, _size(image.size, to, width, height), faces), here.limits)
        for image in opened
    ]
    engine = engine_of(context, flags, here)
    folder = here.outputs_dir / "extras-images" / f"{datetime.now():%Y-%m-%d}"
    saved, warnings, stopped = _enlarge_all(orders, pictures, engine, out, folder)
    seconds = round(time.monotonic() - started, 3)
    if as_json:
        files = [str(path) for path in saved]
        told = {"files": files, "warnings": warnings, "seconds": seconds, "cancelled": stopped}
        print(json.dumps(told, ensure_ascii=False))
    else:
        for path in saved:
            print(f"Saved to {short(path)}")
        say(f"{len(saved)} picture{'' if len(saved) == 1 else 's'} in {seconds:.1f} s.")
    raise typer.Exit(130 if stopped else 0)


def _enlarge_all(
    orders: Sequence[Extras], sources: Sequence[Path], engine: Drawer, out: Path | None, folder: Path
) -> tuple[list[Path], list[str], bool]:
    """The files, each saved as soon as it was finished; what is to be known of them; whether the person stopped it."""
    from inkwash.cli.display import Display
    from inkwash.cli.drawing import stopping
    from inkwash.core.progress import Event

    saved: list[Path] = []
    noted: list[str] = []
    with Display() as display, stopping() as stop:

        def progress(event: Event) -> None:
            display.show(event)
            if stop.is_set():
                raise Cancelled()

        try:
            for order, source in zip(orders, sources, strict=True):
                large, told, warnings = engine.enlarge(order, progress)
                for warning in warnings:
                    noted.append(f"{short(source)}: {warning}")
                    say(noted[-1])
                saved.append(_save(large, told, source, out, folder))
        except Cancelled:
            return saved, noted, True
    return saved, noted, False


def _save(large: Image, told: str, source: Path, out: Path | None, folder: Path) -> Path:
    """Under the source's name with the new size, in a file that was not there; or where the person said."""
    from inkwash.core import files, images

    text = images.read_metadata(source).infotext
    if out is not None and _is_file(out):
        data = images.encode(large, text, images.format_of(out), texts={"postprocessing": told})
        files.write(out, data)
        return out.absolute()
    data = images.encode(large, text, texts={"postprocessing": told})
    stem, number = f"{source.stem}-{large.width}x{large.height}", 1
    target = (out or folder).absolute()
    while not files.write_new(path := target / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png"), data):
        number += 1
    return path


def _extras(
    image: Image, upscaler: str, scale: float | None, size: Size | None, faces: tuple[FaceRestoration, ...]
) -> Extras:
    """What the flags ask of one picture."""
    from inkwash.core.extras import Extras

    scale = 2.0 if scale is None else scale
    return Extras(images=(image,), upscaler=upscaler, scale=scale, size=size, faces=faces)


def _faces(restorer: str | None, visibility: float, weight: float) -> tuple[FaceRestoration, ...]:
    from inkwash.core.extras import FaceRestoration
    from inkwash.core.limits import face_restorer

    name = face_restorer(restorer)
    return () if name is None else (FaceRestoration(restorer=name, visibility=visibility, weight=weight),)


def _size(have: Size, to: int | None, width: int | None, height: int | None) -> Size | None:
    """None: the scale decides."""
    if to is not None:
        width, height = (to, None) if have[0] >= have[1] else (None, to)
    if width is not None and height is not None:
        return width, height
    if width is not None:
        return width, max(1, round(have[1] * width / have[0]))
    if height is not None:
        return max(1, round(have[0] * height / have[1])), height
    return None


def _check_sizes(scale: float | None, to: int | None, width: int | None, height: int | None) -> None:
    said = [scale is not None, to is not None, width is not None or height is not None]
    if sum(said) > 1:
        raise InvalidRequest(f"{SIZES} contradict each other.", "Say one of them; --width and --height go together.")
    for name, side in (("to", to), ("width", width), ("height", height)):
        if side is not None and side < 1:
            raise InvalidRequest(f"--{name} is {side}; it must be at least 1.", "Try 1024.", name)


def _check_out(out: Path | None, pictures: Sequence[Path]) -> None:
    from inkwash.core import images

    if out is None or not _is_file(out):
        return
    images.format_of(out)
    if len(pictures) > 1:
        raise InkwashError(f"{len(pictures)} pictures do not fit into one file {harmless(str(out))}.", "Name a folder.")
    if out.exists() and out.resolve() == pictures[0].resolve():
        raise InkwashError(f"{harmless(str(out))} is the picture itself.", "Give another name.")


def _is_file(out: Path) -> bool:
    return bool(out.suffix) and not out.is_dir()
