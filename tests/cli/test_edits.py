"""Commands that start from a picture, with an engine that draws flat pictures at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import FakeEngine

from inkwash.cli import main
from inkwash.core import images, infotext, sources
from inkwash.core.masks import extended
from inkwash.core.request import GenerateRequest, HiresPass, SoftInpainting

Capture = pytest.CaptureFixture[str]
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
MASK = Image.new("L", PHOTO.size)
MASK.paste(255, (8, 8, 24, 24))


@pytest.fixture
def photo(folders: Path) -> Path:
    PHOTO.save(folders / "photo.png")
    MASK.save(folders / "mask.png")
    return folders / "photo.png"


def asked(engine: FakeEngine) -> GenerateRequest:
    assert engine.asked is not None
    return engine.asked


def test_img2img_draws_from_the_picture(engine: FakeEngine, photo: Path, folders: Path, capsys: Capture) -> None:
    flags = """--strength 0.4 --resize-mode latent --exact-steps --initial-noise-multiplier 0.9 --color-correction
    --noise-level 40 --seed 3 --steps 2 --width 64 --negative dog --hires-scale 1.5 --hires-steps 7
    --hires-strength 0.3"""
    assert main(["img2img", str(photo), "a cat", *flags.split(), "--depth", str(folders / "mask.png")], engine) == 0
    assert asked(engine) == GenerateRequest(
        prompt="a cat", negative_prompt="dog", seed=3, steps=2, width=64, init_image=PHOTO, denoising_strength=0.4,
        resize_mode="latent", exact_steps=True, initial_noise_multiplier=0.9, color_correction=True, noise_level=40,
        depth=MASK,
        hires=HiresPass(scale=1.5, steps=7, denoising_strength=0.3),
    )  # fmt: skip
    (path,) = (folders / "outputs" / "img2img-images").glob("*/*.png")
    assert capsys.readouterr().out == f"Saved to {path}\n"
    kept = {file.stem for file in (folders / "outputs" / "init-images").iterdir()}
    assert kept == {sources.fingerprint(PHOTO), sources.fingerprint(MASK)}


def test_no_source_is_kept_unless_wanted(engine: FakeEngine, photo: Path, folders: Path) -> None:
    assert main(["img2img", str(photo), "--no-keep-source"], engine) == 0
    assert not (folders / "outputs" / "init-images").exists()


def test_inpaint_takes_its_mask_from_a_file(engine: FakeEngine, photo: Path, folders: Path) -> None:
    flags = """--mask-invert --mask-blur 2 --inpainting-fill noise --only-masked --only-masked-padding 9
    --soft --soft-schedule-bias 2 --soft-preservation-strength 1 --soft-transition-contrast 3 --soft-mask-influence 0.1
    --soft-difference-threshold 1 --soft-difference-contrast 4 --strength 0.9 --resize-mode crop"""
    flags = flags.replace("noise", "latent_noise").replace("crop", "crop_and_resize")
    arguments = [flag.replace("_", " ") for flag in flags.split()]
    assert main(["inpaint", str(photo), "a cat", "--mask", str(folders / "mask.png"), *arguments], engine) == 0
    assert asked(engine) == GenerateRequest(
        prompt="a cat", init_image=PHOTO, mask=MASK, mask_invert=True, mask_blur=2.0, inpainting_fill="latent noise",
        only_masked=True, only_masked_padding=9, denoising_strength=0.9, resize_mode="crop and resize",
        soft_inpainting=SoftInpainting(
            schedule_bias=2, preservation_strength=1, transition_contrast=3, mask_influence=0.1, difference_threshold=1,
            difference_contrast=4,
        ),
    )  # fmt: skip


def test_inpaint_pastes_one_mask_and_redraws_another(engine: FakeEngine, photo: Path, folders: Path) -> None:
    wide = MASK.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    wide.save(folders / "wide.png")
    masks = ["--mask", str(folders / "mask.png"), "--latent-mask", str(folders / "wide.png")]
    assert main(["inpaint", str(photo), *masks, "--mask-blur-y", "9", "--no-mask-round"], engine) == 0
    assert asked(engine) == GenerateRequest(
        init_image=PHOTO, mask=MASK, latent_mask=wide, mask_blur_y=9.0, mask_round=False
    )
    kept = {file.stem for file in (folders / "outputs" / "init-images").iterdir()}
    assert kept == {sources.fingerprint(PHOTO), sources.fingerprint(MASK), sources.fingerprint(wide)}


def test_inpaint_redraws_what_is_transparent(engine: FakeEngine, folders: Path) -> None:
    cut = PHOTO.copy()
    cut.putalpha(MASK.point(lambda level: 255 - level))
    cut.save(folders / "cut.png")
    assert main(["inpaint", str(folders / "cut.png"), "a cat", "--mask-alpha"], engine) == 0
    assert asked(engine).mask == MASK


@pytest.mark.parametrize("flags", [[], ["--mask", "mask.png", "--mask-alpha"]])
def test_inpaint_wants_one_mask(engine: FakeEngine, photo: Path, flags: list[str], capsys: Capture) -> None:
    assert main(["inpaint", str(photo), *flags], engine) == 1
    assert "--mask" in capsys.readouterr().err


def test_outpaint_makes_room(engine: FakeEngine, photo: Path) -> None:
    assert main(["outpaint", str(photo), "a cat", "--left", "30", "--down", "16", "--overlap", "4"], engine) == 0
    request = asked(engine)
    image, mask = request.init_image, request.mask
    assert image is not None
    assert mask is not None
    assert image.size == mask.size == (96, 64)  # 30 rounded up to 32
    assert (np.asarray(image)[:48, 32:] == np.asarray(PHOTO)).all()
    assert (np.asarray(mask) == 0).nonzero()[0].max() == 43
    assert (np.asarray(mask) == 0).nonzero()[1].min() == 36
    assert (request.inpainting_fill, request.denoising_strength) == ("fill", 0.9)


def test_extended_refuses_no_room() -> None:
    with pytest.raises(Exception, match="no sides"):
        extended(PHOTO, (0, 0, 0, 0), 16)
    with pytest.raises(Exception, match="no sides"):
        extended(PHOTO, (-8, 0, 0, 0), 16)


def test_refine_takes_everything_from_the_picture(engine: FakeEngine, folders: Path) -> None:
    known = GenerateRequest(
        prompt="a cat", negative_prompt="dog", seed=8, steps=3, sampler="Euler", width=64, height=48, model="tiny",
        noise_source="NV",
    )  # fmt: skip
    images.save(PHOTO, folders / "cat.png", infotext.write(known))
    assert main(["refine", str(folders / "cat.png"), "--scale", "1.5", "--strength", "0.3"], engine) == 0
    request = asked(engine)
    assert (request.prompt, request.negative_prompt, request.seed, request.steps) == ("a cat", "dog", 8, 3)
    assert (request.sampler, request.model, request.noise_source) == ("Euler", "tiny", "NV")
    assert request.init_image is not None
    assert request.init_image.tobytes() == PHOTO.tobytes()
    assert (request.denoising_strength, request.width) == (0.0, None)
    assert request.hires == HiresPass(scale=1.5, denoising_strength=0.3, upscaler="Lanczos")


def test_refine_wants_metadata(engine: FakeEngine, photo: Path, capsys: Capture) -> None:
    assert main(["refine", str(photo)], engine) == 1
    assert "does not say" in capsys.readouterr().err


def test_a_folder_is_drawn_file_by_file_and_errors_stop_nothing(
    engine: FakeEngine, folders: Path, capsys: Capture
) -> None:
    album = folders / "album"
    album.mkdir()
    for name in ("a.png", "c.png"):
        PHOTO.save(album / name)
    (album / "b.png").write_bytes(b"no picture")
    (album / "notes.txt").write_text("no picture either")
    assert main(["img2img", str(album), "a cat", "--json", "--seed", "4"], engine) == 1
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["files"]) == 2
    assert all(Path(file).is_file() for file in answer["files"])
    assert [Path(error["picture"]).name for error in answer["errors"]] == ["b.png"]
    assert "not a picture" in answer["errors"][0]["error"]


def test_a_folder_of_masks_goes_with_a_folder_of_pictures(engine: FakeEngine, folders: Path) -> None:
    for kind, image in (("album", PHOTO), ("masks", MASK)):
        (folders / kind).mkdir()
        image.save(folders / kind / "a.png")
    assert main(["inpaint", str(folders / "album"), "--mask", str(folders / "masks")], engine) == 0
    assert asked(engine).mask == MASK


def test_an_empty_folder_is_told(engine: FakeEngine, folders: Path, capsys: Capture) -> None:
    (folders / "empty").mkdir()
    assert main(["img2img", str(folders / "empty")], engine) == 1
    assert "no pictures" in capsys.readouterr().err


def test_loopback_draws_each_from_the_one_before(engine: FakeEngine, photo: Path, folders: Path) -> None:
    assert main(["img2img", str(photo), "a cat", "--loopback", "3", "--seed", "4"], engine) == 0
    assert asked(engine).seed == 6
    assert asked(engine).init_image == Image.new("RGB", (64, 64), (5, 0, 0))  # what the second loop drew
    assert len(list((folders / "outputs" / "img2img-images").glob("*/*.png"))) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["img2img", "nowhere.png"], "nowhere.png"),
        (["img2img", "{}/photo.png", "--strength", "2"], "denoising_strength"),
        (["img2img", "{}/photo.png", "--width", "65"], "multiple of 8"),
        (["img2img", "{}/photo.png", "--loopback", "0"], "--loopback"),
        (["img2img", "{}/photo.png", "--resize-mode", "crob"], "crop and resize"),
        (["inpaint", "{}/photo.png", "--mask", "{}/small.png"], "32x32, the picture 64x48"),
    ],
)
def test_mistakes_are_told_in_words(
    engine: FakeEngine, photo: Path, folders: Path, capsys: Capture, arguments: list[str], words: str
) -> None:
    MASK.resize((32, 32)).save(folders / "small.png")
    assert main([argument.format(folders) for argument in arguments], engine) == 1
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert engine.asked is None
