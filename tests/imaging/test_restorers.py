"""Face restorers against their architectures' own forward pass; pictures with faces restored whole."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support import faces, upscalers
from torch import Tensor

from inkwash.checkpoint.files import write
from inkwash.core.errors import MissingLibrary, UnsupportedModel
from inkwash.imaging import architectures
from inkwash.imaging.restorers import FaceRestorer, load_restorer
from inkwash.imaging.restoring import NO_FACE, Restoring
from inkwash.runtime.device import choose

CPU = choose("cpu", "float32")


def shown(face: Image.Image) -> Tensor:
    """As networks want it: (1, 3, 512, 512) in -1..1."""
    return torch.from_numpy(np.array(face)).permute(2, 0, 1)[None] / 127.5 - 1


def near(made: Image.Image, expected: Tensor) -> bool:
    """Exactly, but for the rounding to 8 bits."""
    return bool((shown(made) - expected.clamp(-1, 1)).abs().max() <= 1 / 255 + 1e-5)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_restoreformer_makes_what_its_own_code_makes(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INKWASH_CACHE_DIR", str(tmp_path / "cache"))
    network, face = faces.restoreformer(), faces.portrait(128)  # smaller than in earnest, for time
    restorer = load_restorer(upscalers.saved(network, tmp_path / f"RestoreFormer{suffix}"), CPU)
    assert (restorer.name, restorer.architecture) == ("RestoreFormer", "RestoreFormer")
    assert restorer.nbytes == sum(weight.nbytes for weight in network.parameters())
    with torch.inference_mode():
        assert near(restorer(face), network(shown(face))[0])


def test_a_gfpgan_uses_the_noise_of_its_file_and_makes_the_same_again() -> None:
    """Its own code draws noise anew at every call unless told otherwise."""
    network, face = faces.gfpgan(), faces.portrait(512)
    restorer = FaceRestorer("g", SimpleNamespace(architecture=SimpleNamespace(name="GFPGAN"), model=network))
    made = restorer(face)
    assert made.tobytes() == restorer(face).tobytes()
    with torch.inference_mode():
        assert near(made, network(shown(face), randomize_noise=False)[0])
        assert not near(made, network(shown(face))[0])


@pytest.mark.slow
def test_a_gfpgan_of_full_size_is_read_from_a_file(tmp_path: Path) -> None:
    """86 million random weights, through spandrel: 345 MB."""
    network = architectures.spandrel().architectures.GFPGAN.GFPGAN().eval()
    write(tmp_path / "GFPGANv1.4.safetensors", {n: one.contiguous() for n, one in network.state_dict().items()})
    restorer, face = load_restorer(tmp_path / "GFPGANv1.4.safetensors", CPU), faces.portrait(512)
    with torch.inference_mode():
        assert near(restorer(face), network(shown(face), randomize_noise=False)[0])


def codeformer() -> dict[str, Tensor]:
    """Weights by whose names it is known."""
    keys = (*architectures.CODEFORMER, "ft_layers.0.self_attn.in_proj_weight", "encoder.blocks.0.weight")
    return dict.fromkeys(keys, torch.zeros(1))


def test_codeformer_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "_extra", lambda: None)
    write(tmp_path / "codeformer.safetensors", codeformer())
    with pytest.raises(
        MissingLibrary, match=r"forbids commercial use(.|\n)*pip install --no-deps spandrel_extra_arches"
    ):
        load_restorer(tmp_path / "codeformer.safetensors", CPU)


def test_codeformer_runs_where_its_package_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the package: the registry's shape and the network's signature are the real one's, 0.2.0."""
    model = faces.Negative()
    architecture = SimpleNamespace(
        name="CodeFormer",
        load=lambda state: SimpleNamespace(
            architecture=architecture, model=model, supports_half=False, supports_bfloat16=True, purpose="FaceSR"
        ),
    )
    support = SimpleNamespace(detect=lambda state: "position_emb" in state, architecture=architecture)
    package = ModuleType(architectures.EXTRA)
    package.__dict__["EXTRA_REGISTRY"] = SimpleNamespace(architectures=lambda order: [support])
    monkeypatch.setitem(sys.modules, architectures.EXTRA, package)
    monkeypatch.setattr(architectures, "_extra", architectures._extra.__wrapped__)
    write(tmp_path / "codeformer-v0.1.0.safetensors", {f"params_ema.{n}": one for n, one in codeformer().items()})
    restorer = load_restorer(tmp_path / "codeformer-v0.1.0.safetensors", CPU)
    assert restorer.architecture == "CodeFormer"
    assert near(restorer(faces.portrait(512), 0.3), -shown(faces.portrait(512)))
    assert model.seen == [0.3]


def test_an_upscaler_restores_no_faces(tmp_path: Path) -> None:
    path = upscalers.saved(upscalers.compact(), tmp_path / "sharp.safetensors")
    with pytest.raises(UnsupportedModel, match="restores no faces"):
        load_restorer(path, CPU)


def restoring(find: Any, **more: Any) -> Restoring:
    return Restoring(find, faces.negative(), **more)


def changed(before: Image.Image, after: Image.Image) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray((np.asarray(before) != np.asarray(after)).any(-1))


def test_every_face_of_a_crowd_is_restored_and_nothing_else(find: Callable[..., Any]) -> None:
    picture, shares = faces.crowd(), list[float]()
    work = restoring(find).pieces(picture)
    while True:
        try:
            shares.append(next(work))
        except StopIteration as done:
            made = done.value
            break
    assert shares == [0, 1 / 3, 2 / 3]
    seen, small = changed(picture, made), restoring(find, visibility=0.25)(picture)
    assert not seen[:, 540:].any()
    assert not seen[:, 310:320].any()
    for face in find(picture):
        x, y = (int(value) for value in face.landmarks[2])
        light = np.asarray(picture.getpixel((x, y)), int)
        assert np.abs(np.asarray(made.getpixel((x, y)), int) - (255 - light)).max() < 60  # a nose is no flat thing
        quarter = light + 0.25 * (np.asarray(made.getpixel((x, y)), int) - light)
        assert np.abs(np.asarray(small.getpixel((x, y)), int) - quarter).max() <= 1


def test_a_picture_without_faces_comes_back_with_a_word(find: Callable[..., Any]) -> None:
    picture, said = faces.landscape(), list[str]()
    work = restoring(find).pieces(picture, said.append)
    with pytest.raises(StopIteration) as done:
        next(work)
    assert done.value.value.tobytes() == picture.tobytes()
    assert said == [NO_FACE]


def test_a_face_at_the_border_is_restored_up_to_it(find: Callable[..., Any]) -> None:
    picture = Image.new("RGB", (300, 152), "gray")
    picture.paste(faces.portrait().crop((64, 40, 192, 192)))
    seen = changed(picture, restoring(find)(picture))
    assert seen[40:80, 0].all()
    assert not seen[:, 180:].any()
