"""MTCNN's networks against those of the package that its weights come from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tests.support.facenet import facenet

from inkwash.checkpoint.files import read, write
from inkwash.core.errors import DamagedFile, MissingLibrary
from inkwash.models import mtcnn_files
from inkwash.models.mtcnn import MTCNN
from inkwash.models.mtcnn_files import PARTS, load_mtcnn, weights_folder


@pytest.fixture(scope="module")
def network() -> MTCNN:
    return load_mtcnn()


@torch.inference_mode()
def test_each_network_says_what_facenets_says(network: MTCNN) -> None:
    """Within float32 rounding: 1e-6 of values around 1."""
    reference, noise = facenet(), torch.Generator().manual_seed(1)
    pixels = {side: torch.rand(5, 3, side, side + extra, generator=noise) * 2 - 1
              for side, extra in ((47, 12), (24, 0), (48, 0))}  # fmt: skip
    corrections, probability = reference.PNet()(pixels[47])
    torch.testing.assert_close(network.pnet(pixels[47]), (probability[:, 1], corrections), rtol=0, atol=1e-6)
    corrections, probability = reference.RNet()(pixels[24])
    torch.testing.assert_close(network.rnet(pixels[24]), (probability[:, 1], corrections), rtol=0, atol=1e-6)
    corrections, landmarks, probability = reference.ONet()(pixels[48])
    pairs = torch.stack([landmarks[:, :5], landmarks[:, 5:]], dim=-1)
    torch.testing.assert_close(network.onet(pixels[48]), (probability[:, 1], corrections, pairs), rtol=0, atol=1e-6)


def test_the_weights_are_read_and_their_package_is_not_run(network: MTCNN) -> None:
    """Bit for bit those in the file, as PyTorch itself reads it; the package's modules are never imported."""
    for part in PARTS:
        expected = torch.load(weights_folder() / f"{part}.pt", weights_only=True)
        found = getattr(network, part).state_dict()
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    before = set(sys.modules)
    weights_folder()
    assert not {name for name in set(sys.modules) - before if name.startswith("facenet_pytorch")}


def test_where_the_package_is_missing_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mtcnn_files, "PACKAGE", "no_such_package")
    with pytest.raises(MissingLibrary, match="pip install --no-deps facenet-pytorch"):
        weights_folder()


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a package that was changed."""
    for part in PARTS:
        write(tmp_path / "data" / f"{part}.pt", {f"x{name}": one for name, one in read_part(part).items()})
    monkeypatch.setattr(mtcnn_files, "weights_folder", lambda: tmp_path / "data")
    with pytest.raises(DamagedFile, match="pnet"):
        load_mtcnn.__wrapped__()


def read_part(part: str) -> dict[str, torch.Tensor]:
    return read(weights_folder() / f"{part}.pt")
