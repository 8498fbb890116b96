"""Which upscaler enlarges for which model where nobody names one."""

from __future__ import annotations

from pathlib import Path

import pytest

from inkwash.checkpoint.catalog import Catalog
from inkwash.checkpoint.upscalers import best_upscaler, upscaler_named
from inkwash.core.choices import PICTURE_UPSCALERS
from inkwash.core.errors import InvalidRequest


def laid(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_the_boxs_own_enlarges_for_the_boxs_model_and_a_persons_for_others(tmp_path: Path) -> None:
    box, root = tmp_path / "box", tmp_path / "a1111"
    boxed, own = box / "small.safetensors", root / "models" / "Stable-diffusion" / "foo.safetensors"
    catalog = Catalog([root], box=box)
    laid(root / "models", "Stable-diffusion/foo.safetensors")
    assert best_upscaler(catalog, own) == "Lanczos"
    laid(box, "upscalers/Box 2x.safetensors")
    assert (best_upscaler(catalog, own), best_upscaler(catalog, boxed)) == ("Box 2x", "Box 2x")
    laid(root / "models", "ESRGAN/Sharp.pth", "ESRGAN/Zebra.pth")
    assert (best_upscaler(catalog, own), best_upscaler(catalog, boxed)) == ("Sharp", "Box 2x")


def test_a_name_that_two_files_bear_is_told_by_its_place(tmp_path: Path) -> None:
    laid(tmp_path / "models" / "ESRGAN", "a/Sharp.pth", "b/Sharp.pth", "Other.pth")
    catalog = Catalog([tmp_path], box=tmp_path / "box")
    assert best_upscaler(catalog, tmp_path / "x.safetensors") == "a/Sharp.pth"
    assert upscaler_named(catalog, "b/sharp", PICTURE_UPSCALERS) == "b/Sharp.pth"
    assert upscaler_named(catalog, "other", PICTURE_UPSCALERS) == "Other"
    assert upscaler_named(catalog, "LANCZOS", PICTURE_UPSCALERS) == "Lanczos"
    with pytest.raises(InvalidRequest, match="Other"):
        upscaler_named(catalog, "othr", PICTURE_UPSCALERS)
