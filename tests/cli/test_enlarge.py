"""``inkwash enlarge`` and the flags of tiles, with an engine that draws flat pictures at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.cli.conftest import FakeEngine
from tests.support.checkpoints import sd1_spec

from inkwash.cli import main
from inkwash.core import images, infotext, sources
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest, NoiseInversion, Region, SDUpscale, TiledDiffusion
from inkwash.generation.enlarging import Target, plan_enlarging

Capture = pytest.CaptureFixture[str]
KNOWN = GenerateRequest(
    prompt="a cat, best quality", negative_prompt="blurry", seed=9, steps=11, sampler="Euler", width=64, height=48,
    cfg_scale=5.0, clip_skip=2,
)  # fmt: skip
PHOTO = Image.new("RGB", (64, 48), "teal")


@pytest.fixture
def photo(folders: Path) -> Path:
    images.save(PHOTO, folders / "photo.png", infotext.write(KNOWN, model_name=None))
    return folders / "photo.png"


def asked(engine: FakeEngine) -> GenerateRequest:
    """The last request, its picture as it is without its text."""
    assert engine.asked is not None
    image = engine.asked.init_image
    same = image is not None and image.tobytes() == PHOTO.tobytes()
    return dataclasses.replace(engine.asked, init_image=PHOTO if same else image)


def test_enlarge_draws_with_what_the_picture_says(engine: FakeEngine, photo: Path, folders: Path) -> None:
    """The model in the box was made for 128 pixels: tiles of 16 latents."""
    assert main(["enlarge", str(photo), "--to", "256", "--upscaler", "lanczos"], engine) == 0
    assert asked(engine) == dataclasses.replace(
        KNOWN,
        prompt="best quality",
        width=None,
        height=None,
        init_image=PHOTO,
        denoising_strength=0.35,
        keep_structure=0.75,
        noise_inversion=NoiseInversion(renoise_kernel=32),
        tiled=TiledDiffusion(
            method="Mixture of Diffusers", tile_width=16, tile_height=16, overlap=4, upscaler="Lanczos", scale=4.0
        ),
    )
    kept = folders / "outputs" / "init-images" / f"{sources.fingerprint(PHOTO)}.png"
    assert kept.is_file()


def test_flags_speak_over_the_picture(engine: FakeEngine, photo: Path) -> None:
    flags = """--scale 3 --road sd --upscaler nearest --denoise 0.2 --keep-structure 0 --tile 96 --overlap 24
    --prompt x --negative y --seed 4 --steps 3 --sampler Heun --cfg 2 --no-noise-inversion""".replace(
        "sd ", "SD_upscale "
    )
    arguments = [flag.replace("_", " ") for flag in flags.split()]
    assert main(["enlarge", str(photo), *arguments], engine) == 0
    assert asked(engine) == dataclasses.replace(
        KNOWN, prompt="x", negative_prompt="y", seed=4, steps=3, sampler="Heun", cfg_scale=2.0, width=96, height=96,
        init_image=PHOTO, denoising_strength=0.2, keep_structure=0.0,
        sd_upscale=SDUpscale(upscaler="Nearest", scale=3.0, overlap=24),
    )  # fmt: skip
    assert main(["enlarge", str(photo), "--whole-prompt"], engine) == 0
    assert asked(engine).prompt == "a cat, best quality"


def test_the_plan_alone_draws_nothing(engine: FakeEngine, photo: Path, folders: Path, capsys: Capture) -> None:
    assert main(["enlarge", str(photo), "--to", "1024", "--upscaler", "Lanczos", "--plan"], engine) == 0
    assert engine.asked is None
    assert not (folders / "outputs").exists()
    told = capsys.readouterr().err
    assert "64x48 -> 2 passes" in told
    assert "1. 256x192: enlarged by Lanczos, redrawn in 6 tiles by Mixture of Diffusers at strength 0.35, less" in told
    assert "2. 1024x768: enlarged by Lanczos, redrawn in " in told


def test_only_the_last_pass_is_saved_and_its_source_kept(engine: FakeEngine, photo: Path, folders: Path) -> None:
    """The fake engine draws 64x64 pixels whatever it is asked for."""
    assert main(["enlarge", str(photo), "--scale", "8", "--no-keep-source"], engine) == 0
    assert len(list((folders / "outputs" / "img2img-images").glob("*/*.png"))) == 1
    assert asked(engine).init_image is not PHOTO
    between = asked(engine).init_image
    assert between is not None
    kept = [path.stem for path in (folders / "outputs" / "init-images").iterdir()]
    assert kept == [sources.fingerprint(between)]


def test_a_folder_is_enlarged_picture_by_picture(engine: FakeEngine, photo: Path, folders: Path) -> None:
    (folders / "many").mkdir()
    for name in ("a.png", "b.png"):
        PHOTO.save(folders / "many" / name)
    (folders / "many" / "c.png").write_bytes(b"no picture")
    assert main(["enlarge", str(folders / "many")], engine) == 1
    assert len(list((folders / "outputs" / "img2img-images").glob("*/*.png"))) == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--to", "64"], "longer side"),
        (["--scale", "0.5"], "more than 1"),
        (["--to", "128", "--scale", "2"], "one of them"),
        (["--strength", "0"], "refine"),
        (["--tile", "32"], "64 or more"),
        (["--overlap", "128"], "cannot share"),
        (["--road", "x"], "Choose one of"),
        (["--scale", "400"], "at most"),
    ],
)
def test_what_cannot_be_done_is_said(
    engine: FakeEngine, photo: Path, capsys: Capture, arguments: list[str], word: str
) -> None:
    assert main(["enlarge", str(photo), *arguments], engine) == 1
    assert engine.asked is None
    assert word in capsys.readouterr().err


def planned(size: tuple[int, int], target: Target, free: int = 10**12) -> list[GenerateRequest]:
    passes = plan_enlarging(GenerateRequest(), size, target, sd1_spec(), torch.float32, free)
    return [one.request for one in passes]


@pytest.mark.parametrize("size", [(512, 512), (500, 333), (123, 456), (64, 64), (1000, 999)])
@pytest.mark.parametrize("to", [1024, 1500, 2048])
def test_the_last_pass_ends_at_the_target(size: tuple[int, int], to: int) -> None:
    passes = plan_enlarging(GenerateRequest(), size, Target(to=to), sd1_spec(), torch.float32, 10**12)
    assert max(passes[-1].size) == to // 8 * 8
    before = size
    for one in passes:
        assert max(one.size) / max(before) < 4.2
        before = one.size


@pytest.mark.parametrize("road", [None, "SD upscale"])
def test_the_finished_picture_counts_in_what_a_plan_needs(road: str | None) -> None:
    passes = plan_enlarging(
        GenerateRequest(), (512, 512), Target(to=8192, road=road), sd1_spec(), torch.float32, 10**12
    )
    assert passes[-1].memory > 3 * 4 * 8192**2


def test_what_does_not_fit_is_drawn_tile_by_tile() -> None:
    (large,) = planned((512, 512), Target(to=2048))
    assert large.tiled is not None
    (small,) = planned((512, 512), Target(to=2048), free=0)
    assert (small.sd_upscale, small.width) == (SDUpscale(scale=4.0, overlap=128), 512)
    (asked_for,) = planned((512, 512), Target(to=2048, road="MultiDiffusion"), free=0)
    assert asked_for.tiled is not None


def test_a_learned_upscaler_is_preferred_and_found_by_name(
    engine: FakeEngine, photo: Path, folders: Path, capsys: Capture
) -> None:
    (folders / "models" / "ESRGAN").mkdir(parents=True)
    (folders / "models" / "ESRGAN" / "4x-Sharp.pth").write_bytes(b"")
    assert main(["enlarge", str(photo), "--upscaler", "4x-sharp", "--models-dir", str(folders)], engine) == 0
    tiled = asked(engine).tiled
    assert tiled is not None
    assert tiled.upscaler == "4x-Sharp"
    assert main(["enlarge", str(photo), "--upscaler", "4x-shrap", "--models-dir", str(folders)], engine) == 1
    assert "4x-Sharp" in capsys.readouterr().err


def test_tiles_by_flags(engine: FakeEngine, photo: Path) -> None:
    flags = [
        "--tile-method",
        "mixture of diffusers",
        "--tile-width",
        "64",
        "--tile-height",
        "32",
        "--tile-overlap",
        "8",
    ]
    flags += ["--tile-batch", "2", "--region", "0, 0.5, 1, 0.5: a lake: at dawn", "--no-background"]
    flags += ["--region", '{"x": 0, "y": 0, "w": 1, "h": 1, "blend": "Foreground", "prompt": "a hill"}']
    assert main(["txt2img", "best quality", *flags, "--keep-structure", "0.2"], engine) == 0
    lake = Region(x=0.0, y=0.5, w=1.0, h=0.5, prompt="a lake: at dawn")
    assert asked(engine).tiled == TiledDiffusion(
        method="Mixture of Diffusers", tile_width=64, tile_height=32, overlap=8, tile_batch=2, draw_background=False,
        regions=(lake, Region(x=0.0, y=0.0, w=1.0, h=1.0, blend="Foreground", prompt="a hill")),
    )  # fmt: skip
    assert asked(engine).keep_structure == 0.2
    assert main(["txt2img", "a cat", "--tiled"], engine) == 0
    assert asked(engine).tiled == TiledDiffusion()


@pytest.mark.parametrize("region", ["a lake", "0 0 1: a lake", "0 0 1 x: a lake", "{", '{"X": 1}'])
def test_a_region_that_says_no_place_is_named(engine: FakeEngine, capsys: Capture, region: str) -> None:
    assert main(["txt2img", "a cat", "--region", region], engine) == 1
    assert "region" in capsys.readouterr().err


def test_enlarging_by_flags_of_img2img(engine: FakeEngine, photo: Path) -> None:
    inverting = "--noise-inversion --inversion-steps 5 --inversion-retouch 2 --inversion-renoise-strength 0.5"
    flags = ["--sd-upscale", "3", "--sd-upscale-by", "Nearest", "--sd-upscale-overlap", "32", *inverting.split()]
    assert main(["img2img", str(photo), *flags, "--inversion-renoise-kernel", "9"], engine) == 0
    assert asked(engine).sd_upscale == SDUpscale(upscaler="Nearest", scale=3.0, overlap=32)
    wanted = NoiseInversion(steps=5, retouch=2.0, renoise_strength=0.5, renoise_kernel=9)
    assert asked(engine).noise_inversion == wanted
    assert main(["img2img", str(photo), "--tile-upscaler", "Lanczos", "--tile-scale", "1.5"], engine) == 0
    assert asked(engine).tiled == TiledDiffusion(upscaler="Lanczos", scale=1.5)


def test_a_plan_says_what_is_too_large() -> None:
    with pytest.raises(InvalidRequest, match="not less than 512"):
        planned((512, 300), Target(to=512))
