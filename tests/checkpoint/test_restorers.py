"""What names mean among the face restorers a person has."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from inkwash.checkpoint.catalog import Catalog
from inkwash.checkpoint.restorers import find_restorer, restorer_named
from inkwash.core.errors import InvalidRequest, ModelNotFound

FILES = (
    "GFPGAN/GFPGANv1.3.pth", "GFPGAN/GFPGANv1.4.pth", "GFPGAN/detection_Resnet50_Final.pth",
    "Codeformer/codeformer-v0.1.0.pth", "facerestore_models/RestoreFormer.pth",
)  # fmt: skip


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    for name in FILES:
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return Catalog([tmp_path], box=tmp_path / "box")


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("GFPGAN", "GFPGANv1.4"), ("gfpgan ", "GFPGANv1.4"), ("GFPGANv1.3", "GFPGANv1.3"),
        ("gfpganv1.3.pth", "GFPGANv1.3"), ("CodeFormer", "codeformer-v0.1.0"), ("RestoreFormer", "RestoreFormer"),
    ],
)  # fmt: skip
def test_labels_and_names(catalog: Catalog, name: str, means: str) -> None:
    assert find_restorer(catalog, name).name == means
    assert restorer_named(catalog, name) == means


def test_the_best_is_a_codeformer_where_it_can_run(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    for installed, means in ((object(), "codeformer-v0.1.0"), (None, "GFPGANv1.4")):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, installed=installed: installed)
        assert find_restorer(catalog, "Automatic").name == means


def test_what_no_label_and_no_file_bears_is_told_with_what_there_is(catalog: Catalog, tmp_path: Path) -> None:
    for name in ("GFP", "detection_Resnet50_Final", "a\0b", ""):
        with pytest.raises(InvalidRequest, match="There is") as error:
            find_restorer(catalog, name)
        assert error.value.field == "restore_faces"
    with pytest.raises(ModelNotFound, match="none at all"):
        find_restorer(Catalog([tmp_path / "empty"], box=tmp_path / "box"), "GFPGAN")


def test_a_name_that_two_files_bear_is_told_by_its_place(catalog: Catalog, tmp_path: Path) -> None:
    twin = tmp_path / "models" / "GFPGAN" / "old" / "GFPGANv1.4.pth"
    twin.parent.mkdir()
    twin.write_bytes(b"")
    assert restorer_named(catalog, "old/GFPGANv1.4") == "old/GFPGANv1.4.pth"
    assert restorer_named(catalog, "GFPGANv1.4") == "GFPGANv1.4.pth"
