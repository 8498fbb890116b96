"""Faces restored in what is drawn: where in the picture, when, and what its text says."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tests.support import faces, upscalers

from inkwash.checkpoint.files import read
from inkwash.core import infotext
from inkwash.core.errors import InkwashError, InvalidRequest, MissingLibrary, ModelNotFound
from inkwash.core.extras import Extras, FaceRestoration
from inkwash.core.progress import Enlarging, Event
from inkwash.core.request import GenerateRequest, Result, SDUpscale
from inkwash.generation import tools
from inkwash.generation.engine import Engine
from inkwash.imaging.restoring import NO_FACE
from inkwash.models import mtcnn_files

REQUEST = GenerateRequest(prompt="a cat", width=96, height=64, steps=1, seed=1, model="tiny")
FACE = faces.LANDMARKS / 192 * 40  # in the upper left corner, its square some 40 pixels wide
LOADED: list[str] = []


@pytest.fixture
def engine(models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """One that knows where the face is, and whose GFPGAN makes it negative."""
    root = tmp_path / "a1111"
    (root / "models" / "GFPGAN").mkdir(parents=True)
    (root / "models" / "Stable-diffusion").symlink_to(models_dir / "models" / "Stable-diffusion")
    for name in ("GFPGANv1.3", "GFPGANv1.4"):
        (root / "models" / "GFPGAN" / f"{name}.pth").write_bytes(b"x")

    def load(path: Path, compute: object, name: str) -> object:
        LOADED.append(name)
        return faces.negative(name=name)

    monkeypatch.setattr(tools, "load_restorer", load)
    monkeypatch.setattr(tools, "finder", lambda: faces.Known(FACE))
    LOADED.clear()
    with Engine(models_dir=root, device="cpu", dtype="float32") as engine:
        yield engine


def draw(engine: Engine, **changes: object) -> Result:
    return engine.generate(dataclasses.replace(REQUEST, **changes))  # type: ignore[arg-type]


def pixels(picture: Image.Image) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(picture, dtype=np.int16)


def test_the_face_alone_is_changed_and_the_text_draws_it_again(engine: Engine) -> None:
    plain, restored = draw(engine), draw(engine, restore_faces="gfpgan")
    before, after = pixels(plain.images[0]), pixels(restored.images[0])
    assert np.array_equal(before[:, 56:], after[:, 56:])
    nose = tuple(FACE[2].astype(int)[::-1])
    assert np.abs(after[nose] - (255 - before[nose])).max() < 60  # through two changes of size
    assert np.array_equal(plain.latents.numpy(), restored.latents.numpy())
    told = infotext.parse(restored.infotexts[0])
    assert told["Face restoration"] == "GFPGANv1.4"
    again = engine.generate(infotext.to_request(told))
    assert again.images[0].tobytes() == restored.images[0].tobytes()
    assert again.infotexts == restored.infotexts
    assert LOADED == ["GFPGANv1.4"]  # once: it stays in memory


def test_every_picture_of_a_batch_is_restored(engine: Engine) -> None:
    plain, restored = draw(engine, batch_size=2), draw(engine, batch_size=2, restore_faces="Automatic")
    assert all(a.tobytes() != b.tobytes() for a, b in zip(plain.images, restored.images, strict=True))
    assert draw(engine, restore_faces="None").images[0].tobytes() == plain.images[0].tobytes()


def test_what_a_mask_leaves_alone_stays_though_a_face_reaches_there(engine: Engine) -> None:
    """As in A1111, faces are restored in what was drawn, and that is pasted into the picture after."""
    photo, mask = faces.landscape(96, 64), Image.new("L", (96, 64))
    mask.paste(255, (10, 10, 40, 40))
    result = draw(engine, init_image=photo, mask=mask, restore_faces="GFPGAN", mask_blur=2.0)
    without = draw(engine, init_image=photo, mask=mask, mask_blur=2.0)
    outside = np.asarray(mask) == 0
    assert np.array_equal(pixels(result.images[0])[outside], pixels(photo)[outside])
    assert result.images[0].tobytes() != without.images[0].tobytes()


def test_sd_upscale_restores_the_whole_and_not_the_tiles(engine: Engine) -> None:
    plan = {"init_image": faces.landscape(64, 48), "width": 64, "height": 64, "denoising_strength": 0.3}
    plan["sd_upscale"] = SDUpscale(scale=2.0, overlap=16)
    plain, restored = draw(engine, **plan), draw(engine, restore_faces="GFPGAN", **plan)
    changed = (pixels(plain.images[0]) != pixels(restored.images[0])).any(-1)
    assert changed[:40, :40].any()
    assert not changed[:, 60:].any()


def test_without_a_face_the_picture_is_as_it_was_and_it_is_said(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = draw(engine)
    monkeypatch.setattr(tools, "finder", faces.Known)
    restored = draw(engine, restore_faces="GFPGAN")
    assert restored.images[0].tobytes() == plain.images[0].tobytes()
    assert restored.warnings == [*plain.warnings, NO_FACE]


def test_codeformers_weight_reaches_it_and_the_text(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    restorer = faces.negative("CodeFormer")
    monkeypatch.setattr(tools, "load_restorer", lambda path, compute, name: restorer)
    result = draw(engine, restore_faces="GFPGAN", codeformer_weight=0.2)
    assert restorer.network.model.seen == [0.2]
    assert infotext.to_request(infotext.parse(result.infotexts[0])).codeformer_weight == 0.2
    with pytest.raises(InvalidRequest, match="codeformer_weight"):
        draw(engine, codeformer_weight=1.5)


def test_extras_restore_and_tell(engine: Engine) -> None:
    shares: list[float] = []

    def watch(event: Event) -> None:
        if isinstance(event, Enlarging):
            shares.append(event.share)

    wanted = Extras(images=(faces.landscape(96, 64),), faces=(FaceRestoration(restorer="GFPGAN", visibility=0.5),))
    made, told, warnings = engine.enlarge(wanted, watch)
    assert made.size == (96, 64)
    assert (told, warnings, shares) == ("GFPGAN visibility: 0.5", [], [0.0, 0.0])


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [("GFPGANv1.5", InvalidRequest, "GFPGANv1.4"), ("codeformer", InvalidRequest, "Say GFPGAN")],
)
def test_an_unknown_restorer_is_told_before_anything_is_loaded(
    engine: Engine, name: str, error: type[InkwashError], words: str
) -> None:
    with pytest.raises(error, match=words):
        draw(engine, restore_faces=name, model="absent")


def test_what_is_missing_is_named(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(tools, "load_restorer", lambda path, compute, name: SimpleNamespace(nbytes=0, name=name))
    monkeypatch.setattr(mtcnn_files, "PACKAGE", "no_such_package")
    monkeypatch.setattr(tools, "finder", lambda: mtcnn_files.load_mtcnn.__wrapped__())
    with pytest.raises(MissingLibrary, match="pip install --no-deps facenet-pytorch"):
        draw(engine, restore_faces="GFPGAN")
    for path in (engine.folder / "models" / "GFPGAN").iterdir():
        path.unlink()
    with pytest.raises(ModelNotFound, match=r"GFPGANv1\.4\.pth into models/GFPGAN"):
        draw(engine, restore_faces="Automatic")


@pytest.mark.slow
def test_a_real_restorer_and_the_real_finder(models_dir: Path, tmp_path: Path) -> None:
    """A portrait through a RestoreFormer of few channels: the file, the weights of the finder, the whole road."""
    path = upscalers.saved(faces.restoreformer(), tmp_path / "models" / "RestoreFormer" / "RestoreFormer.pth")
    assert read(path)
    portrait = Image.new("RGB", (300, 192), "gray")
    portrait.paste(faces.portrait())
    with Engine(models_dir=tmp_path, device="cpu", dtype="float32") as engine:
        wanted = Extras(images=(portrait,), faces=(FaceRestoration(restorer="RestoreFormer"),))
        made, told, warnings = engine.enlarge(wanted)
    changed = (np.asarray(made) != np.asarray(portrait)).any(-1)
    assert changed[80:120, 80:110].mean() > 0.9
    assert not changed[:, 230:].any()
    assert (told, warnings) == ("RestoreFormer visibility: 1", [])
