"""SD upscale, noise inversion and kept structure on a tiny model, and texts that draw them again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

import inkwash
from inkwash.core import images
from inkwash.core.errors import InvalidRequest
from inkwash.core.progress import Event, Started, Step
from inkwash.core.request import GenerateRequest, HiresPass, NoiseInversion, Region, Result, SDUpscale, TiledDiffusion
from inkwash.generation.engine import Engine
from inkwash.generation.inversion import details, renoised
from inkwash.generation.sd_upscale import FINE
from inkwash.generation.structure import RADIUS, low_pass

RANDOM = np.random.default_rng(3)
PHOTO = Image.fromarray(RANDOM.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize((48, 40), Image.Resampling.BICUBIC)
REQUEST = GenerateRequest(
    prompt="a cat",
    negative_prompt="blurry",
    seed=5,
    steps=3,
    model="tiny",
    sampler="Euler",
    init_image=PHOTO,
    denoising_strength=0.6,
)
TILED = dataclasses.replace(
    REQUEST, tiled=TiledDiffusion(tile_width=8, tile_height=8, overlap=4, upscaler="Lanczos", scale=2.0)
)
UPSCALE = dataclasses.replace(REQUEST, width=64, height=80, sd_upscale=SDUpscale(scale=2.0, overlap=16))


def draw(engine: Engine, request: GenerateRequest, **changes: object) -> Result:
    return engine.generate(dataclasses.replace(request, **changes))  # type: ignore[arg-type]


def pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image, dtype=np.float32) / 255).permute(2, 0, 1)


def test_sd_upscale_without_strength_is_its_tiles_put_together(engine: Engine) -> None:
    """Two tiles of 64 on 96 share 32 pixels; the second's share rises over the middle 24, of fine detail over 8."""
    result, model = draw(engine, UPSCALE, denoising_strength=0.0, keep_structure=0.0), engine.model("tiny")
    large = PHOTO.resize((96, 80), Image.Resampling.LANCZOS)
    left, right = (model.decode(model.encode(pixels(large.crop((x, 0, x + 64, 80))))) for x in (0, 32))
    broad, fine = torch.zeros(3, 80, 96), torch.zeros(3, 80, 96)
    for tile, place, falling in ((left, slice(0, 64), True), (right, slice(32, 96), False)):
        blurred = torch.from_numpy(gaussian_filter(tile.numpy(), (0, FINE, FINE), mode="nearest", truncate=3.0))
        for band, part, blind in ((broad, blurred, 4), (fine, tile - blurred, 12)):
            rise = ((torch.arange(32) + 0.5 - blind) / (32 - 2 * blind)).clamp(0, 1)
            share = torch.cat([torch.ones(32), 1 - rise] if falling else [rise, torch.ones(32)])
            band[..., place] += part * share
    expected = (broad + fine).clamp(0, 1)
    assert result.images[0].size == (96, 80)
    assert (pixels(result.images[0]) - expected).abs().max() < 1.01 / 255
    assert result.latents.shape == (1, 4, 10, 12)


@pytest.mark.parametrize("request_", [UPSCALE, TILED, dataclasses.replace(TILED, tiled=None, width=96, height=80)])
def test_kept_structure_keeps_the_colours_of_the_picture(engine: Engine, request_: GenerateRequest) -> None:
    """The tiny autoencoder, which is random, changes them by tens of levels."""
    large = pixels(PHOTO.resize((96, 80), Image.Resampling.LANCZOS)).numpy()

    def away(kept: float) -> float:
        drawn = pixels(draw(engine, request_, denoising_strength=0.0, keep_structure=kept).images[0]).numpy()
        return float(np.abs(gaussian_filter(drawn - large, (0, 8 * RADIUS, 8 * RADIUS), mode="nearest")).mean())

    assert away(1.0) < 0.3 * away(0.0)


def test_every_tile_is_a_picture_from_the_next_seed(engine: Engine) -> None:
    """Where only one tile counts the latents are those of img2img on that part of the enlarged picture."""
    whole = draw(engine, UPSCALE, keep_structure=0.0).latents[0]
    large = PHOTO.resize((96, 80), Image.Resampling.LANCZOS)
    for number, left in enumerate((0, 32)):
        part = large.crop((left, 0, left + 64, 80))
        alone = draw(engine, UPSCALE, sd_upscale=None, init_image=part, seed=5 + number).latents[0]
        own = slice(0, 4) if number == 0 else slice(8, 12)
        mine = alone[..., :4] if number == 0 else alone[..., 4:]
        assert torch.allclose(whole[..., own], mine, atol=1e-6)


def test_a_tile_larger_than_the_picture_is_the_picture(engine: Engine) -> None:
    large = PHOTO.resize((96, 80), Image.Resampling.LANCZOS)
    one = draw(engine, UPSCALE, width=512, height=512, keep_structure=0.0)
    plain = draw(engine, UPSCALE, sd_upscale=None, init_image=large, width=96, height=80)
    assert torch.equal(one.latents, plain.latents)
    assert one.images[0].tobytes() == plain.images[0].tobytes()


def test_an_overlap_as_large_as_a_tile_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="cannot share 64"):
        draw(engine, UPSCALE, sd_upscale=SDUpscale(overlap=64))


def test_the_steps_of_all_tiles_are_counted(engine: Engine) -> None:
    events: list[Event] = []
    engine.generate(UPSCALE, events.append)
    (started,) = (event for event in events if isinstance(event, Started))
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, started.steps + 1))
    assert started.steps == 2 * 2  # tiles, and int(0.6 * 3) + 1 steps


def far(latents: Tensor, original: Tensor) -> float:
    """How far the low frequencies are, by scipy."""
    blurred = gaussian_filter((latents - original).numpy(), (0, RADIUS, RADIUS), mode="nearest")
    return float(np.abs(blurred).mean())


def test_the_low_pass_is_scipys_gaussian() -> None:
    x = torch.randn(4, 12, 9, generator=torch.Generator().manual_seed(1))
    expected = gaussian_filter(x.double().numpy(), (0, RADIUS, RADIUS), mode="nearest", truncate=3.0)
    assert np.allclose(low_pass(x).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"tiled": TiledDiffusion(tile_width=8, tile_height=8, overlap=4)}])
def test_kept_structure_brings_the_low_frequencies_nearer(engine: Engine, changes: dict[str, object]) -> None:
    """At sigma 0 of the last step nothing is held any more: the model may still move a little."""
    request = dataclasses.replace(REQUEST, width=96, height=80, steps=6, denoising_strength=0.8, **changes)  # type: ignore[arg-type]
    own = draw(engine, request, denoising_strength=0.0).latents[0]
    free, half, full = (far(draw(engine, request, keep_structure=kept).latents[0], own) for kept in (0.0, 0.5, 1.0))
    assert full < half < free
    assert full < 0.7 * free


def test_the_second_pass_keeps_the_firsts_structure(engine: Engine) -> None:
    request = dataclasses.replace(REQUEST, init_image=None, width=48, height=40, steps=3, denoising_strength=None)
    hires = HiresPass(scale=2, denoising_strength=0.0, upscaler="Latent (bicubic)")
    own = draw(engine, request, hires=hires).latents[0]
    drawn = [
        far(
            draw(
                engine, request, hires=dataclasses.replace(hires, denoising_strength=0.8), keep_structure=kept
            ).latents[0],
            own,
        )
        for kept in (0.0, 1.0)
    ]
    assert drawn[1] < 0.8 * drawn[0]


def test_inverted_noise_leads_back_to_the_picture(engine: Engine) -> None:
    """Euler without guidance from the inverse noise comes nearer to the picture the finer both ways are."""
    request = dataclasses.replace(
        REQUEST, cfg_scale=1.0, denoising_strength=1.0, schedule="Normal", width=48, height=40
    )
    own = draw(engine, request, denoising_strength=0.0).latents[0]

    def distance(steps: int, inversion: NoiseInversion | None) -> float:
        return float((draw(engine, request, steps=steps, noise_inversion=inversion).latents[0] - own).abs().mean())

    plain = NoiseInversion(steps=30, renoise_strength=0.0)
    back = distance(30, plain)
    assert back < 0.2 * distance(30, None)
    assert back < distance(6, dataclasses.replace(plain, steps=6))


def test_fresh_noise_lies_where_there_are_details_and_keeps_the_variance() -> None:
    """The left half is even, the right half noise."""
    picture = torch.full((3, 64, 128), 0.5)
    picture[..., 64:] = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(2))
    share = details(picture, 8)
    assert share[..., :56].abs().max() < 1e-4
    assert share[..., 72:].min() > 0.7
    inverse, fresh = torch.randn(2, 4, 8, 16, generator=torch.Generator().manual_seed(3))
    mixed = renoised(inverse, fresh, picture, NoiseInversion(renoise_kernel=8))
    assert torch.allclose(mixed[..., :6], inverse[..., :6], atol=1e-3)
    assert (mixed[..., 10:] - fresh[..., 10:]).abs().mean() < 0.5
    assert 0.85 < float(mixed.std()) < 1.15
    assert torch.equal(renoised(inverse, fresh, picture, NoiseInversion(renoise_strength=0.0)), inverse)


SMALL = TiledDiffusion(tile_width=8, tile_height=8, overlap=3)
REGION = Region(x=0.1, y=0.2, w=0.5, h=0.6, prompt="a dog, sitting", blend="Foreground", seed=9)
AGAIN: dict[str, dict[str, object]] = {
    "sd upscale": {"width": 64, "height": 48, "sd_upscale": SDUpscale(upscaler="Nearest", scale=1.7, overlap=24)},
    "without structure": {"width": 64, "height": 48, "sd_upscale": SDUpscale(overlap=16), "keep_structure": 0.0},
    "tiled": {"tiled": dataclasses.replace(SMALL, upscaler="Lanczos", scale=2.3), "keep_structure": 0.3},
    "mixture": {"width": 96, "height": 80, "tiled": dataclasses.replace(SMALL, method="Mixture of Diffusers")},
    "inversion": {"noise_inversion": NoiseInversion(steps=2, retouch=1.1, renoise_strength=0.4), "tiled": SMALL},
    "inversion alone": {"noise_inversion": NoiseInversion(steps=2, renoise_kernel=8)},
    "regions": {"init_image": None, "width": 96, "height": 80, "batch_size": 2,
                "tiled": dataclasses.replace(SMALL, regions=(REGION, Region(prompt='a "house": {red}')))},
    "own size": {"width": 96, "height": 80, "tiled": TiledDiffusion(tile_width=0, tile_height=0, overlap=4)},
}  # fmt: skip


@pytest.mark.parametrize("changes", AGAIN.values(), ids=AGAIN)
def test_the_metadata_draws_the_picture_again(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    monkeypatch.setenv("INKWASH_OUTPUTS_DIR", str(tmp_path / "outputs"))
    PHOTO.save(tmp_path / "photo.png")
    result = draw(engine, REQUEST, **changes)
    path = tmp_path / "result.png"
    images.save(result.images[-1], path, result.infotexts[-1])
    assert engine.generate(inkwash.inspect(path)).images[0].tobytes() == result.images[-1].tobytes()
