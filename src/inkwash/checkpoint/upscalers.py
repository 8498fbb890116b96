"""What a name means among upscalers: one that needs no file, or a file, also under the label A1111 gives it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inkwash.checkpoint.catalog import Catalog, Entry
from inkwash.core.choices import LANCZOS, choose
from inkwash.core.errors import ModelNotFound

LABELS = {
    "R-ESRGAN 4x+": "RealESRGAN_x4plus",
    "R-ESRGAN 4x+ Anime6B": "RealESRGAN_x4plus_anime_6B",
    "R-ESRGAN 2x+": "RealESRGAN_x2plus",
    "R-ESRGAN General 4xV3": "realesr-general-x4v3",
    "R-ESRGAN General WDN 4xV3": "realesr-general-wdn-x4v3",
    "R-ESRGAN AnimeVideo": "realesr-animevideov3",
    "SwinIR 4x": "SwinIR_4x",
    "ScuNET": "scunet_color_real_gan",
    "ScuNET PSNR": "scunet_color_real_psnr",
    "DAT x2": "DAT_x2",
    "DAT x3": "DAT_x3",
    "DAT x4": "DAT_x4",
}
"""A1111's label of an upscaler -> the name of the file it fetches for it; pictures' texts hold the labels."""


def find_upscaler(catalog: Catalog, name: str, plain: Sequence[str], near: Sequence[str] = ()) -> str | Entry:
    """One of ``plain``, or the file of a learned one.  near: further names that an error may propose.

    Raises InvalidRequest with the nearest names of all.
    """
    wanted = name.casefold().strip()
    for known in plain:
        if known.casefold() == wanted:
            return known
    labelled = {label.casefold(): stem for label, stem in LABELS.items()}
    try:
        if wanted and "\0" not in name:
            return catalog.find(labelled.get(wanted, name), "upscaler")
    except ModelNotFound:
        pass
    return choose("upscaler", name, [*plain, *(entry.name for entry in catalog.entries("upscaler")), *near])


def upscaler_named(catalog: Catalog, name: str, plain: Sequence[str]) -> str:
    """The same as a name that means one thing: a file's own, or its place where several bear it."""
    found = find_upscaler(catalog, name, plain)
    return found if isinstance(found, str) else _name_of(found, catalog.entries("upscaler"))


def best_upscaler(catalog: Catalog, model: Path) -> str:
    """What to enlarge pictures with for that model to redraw: the box's own for the box's model, else a person's.

    Each gives way to the other where it is not there, and both to Lanczos.
    """
    entries, beside_box = catalog.entries("upscaler"), model.is_relative_to(catalog.box)
    entries.sort(key=lambda entry: entry.path.is_relative_to(catalog.box) != beside_box)
    return _name_of(entries[0], entries) if entries else LANCZOS


def _name_of(entry: Entry, entries: Sequence[Entry]) -> str:
    same = [one for one in entries if one.name == entry.name]
    return entry.name if len(same) == 1 else entry.relative
