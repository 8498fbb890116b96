from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

import inkwash
from inkwash.core import images, infotext, sources
from inkwash.core.errors import DamagedFile, InkwashError
from inkwash.core.request import GenerateRequest

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
MASK = Image.fromarray((np.random.default_rng(1).random((24, 32)) > 0.5).astype(np.uint8) * 255)
REQUEST = GenerateRequest(
    prompt="a cat", seed=3, width=32, height=24, init_image=PICTURE, mask=MASK, denoising_strength=0.4,
    model="tiny", noise_source="CPU",
)  # fmt: skip


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INKWASH_OUTPUTS_DIR", str(tmp_path / "outputs"))
    return tmp_path / "outputs"


def drawn(path: Path) -> Path:
    images.save(PICTURE, path, infotext.write(REQUEST))
    return path


def test_a_fingerprint_is_of_what_is_seen(tmp_path: Path) -> None:
    for mode in ("RGBA", "RGB"):
        assert sources.fingerprint(PICTURE.convert(mode)) == sources.fingerprint(PICTURE)
    assert sources.fingerprint(MASK.convert("1")) == sources.fingerprint(MASK)
    assert sources.fingerprint(PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) != sources.fingerprint(PICTURE)
    assert sources.fingerprint(PICTURE.rotate(90, expand=True)) != sources.fingerprint(PICTURE)


def test_sources_are_found_beside_the_picture(tmp_path: Path, outputs: Path) -> None:
    PICTURE.save(tmp_path / "photo.png")
    MASK.save(tmp_path / "mask.png")
    (tmp_path / "noise.png").write_bytes(b"not a picture")
    assert inkwash.inspect(drawn(tmp_path / "result.png")) == REQUEST


def test_sources_are_found_among_the_outputs_and_in_a_named_folder(tmp_path: Path, outputs: Path) -> None:
    result = drawn(tmp_path / "there" / "result.png")
    elsewhere = tmp_path / "elsewhere"
    kept = sources.keep(PICTURE, outputs / sources.KEPT)
    assert sources.keep(PICTURE, outputs / sources.KEPT) == kept
    images.save(MASK.convert("RGB"), elsewhere / "mask.png")
    assert inkwash.inspect(result, [elsewhere]).init_image == PICTURE
    with Image.open(result) as opened:
        assert inkwash.inspect(opened, [elsewhere]).denoising_strength == 0.4


def test_a_lost_source_is_told_with_its_hash(tmp_path: Path, outputs: Path) -> None:
    with pytest.raises(sources.SourceNotFound, match=sources.fingerprint(MASK)[:12]):
        inkwash.inspect(drawn(tmp_path / "result.png"))


def test_what_is_no_picture_of_ours_is_told(tmp_path: Path, outputs: Path) -> None:
    PICTURE.save(tmp_path / "photo.png")
    with pytest.raises(InkwashError, match="does not say"):
        inkwash.inspect(tmp_path / "photo.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "photo.png").read_bytes()[:100])
    with pytest.raises(DamagedFile):
        inkwash.inspect(tmp_path / "broken.png")


def test_load_turns_a_picture_the_right_way_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # held turned by 90 degrees
    PICTURE.save(tmp_path / "turned.png", exif=exif)
    assert images.load(tmp_path / "turned.png").size == (24, 32)


def test_a_text_without_sources_needs_none(tmp_path: Path, outputs: Path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 32x24")
    PICTURE.save(tmp_path / "plain.png", pnginfo=notes)
    assert inkwash.inspect(str(tmp_path / "plain.png")).init_image is None
