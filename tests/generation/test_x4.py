"""The x4 upscaler against diffusers' own pipeline on the same weights: relative L2 of latents and pixels below 1e-3.

Ours reads an LDM file, theirs a folder that diffusers' and transformers' own classes saved.  The same small picture,
noise over it, prompts, starting noise and sigmas; float32.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from tests.support.checkpoints import full_x4_spec, sd1_spec, write_diffusers, write_ldm, x4_spec
from tests.support.pipelines import on
from torch import Tensor

from inkwash.core import infotext
from inkwash.core.errors import InvalidRequest, UnsupportedModel
from inkwash.core.request import GenerateRequest, HiresPass
from inkwash.generation.engine import Engine
from inkwash.prompt import load_tokenizer

SIZE, SEED, SCALE = (40, 24), 11, 5.0
SIGMAS = torch.tensor([30.0, 8.0, 2.0, 0.5, 0.0])
SMALL = Image.fromarray(np.random.default_rng(5).integers(0, 256, (3, 5, 3), dtype=np.uint8)).resize(SIZE)
REQUEST = GenerateRequest(
    prompt="a cute cat, best quality",
    negative_prompt="blurry",
    seed=SEED,
    sampler="Euler",
    sigmas=tuple(SIGMAS.tolist()),
    cfg_scale=SCALE,
    init_image=SMALL,
    noise_level=35,
    model="model",
)
STATED = {"modelspec.prediction_type": "v"}


NEEDED = 6e9
FULL = [
    pytest.mark.slow,
    pytest.mark.skipif(psutil.virtual_memory().available < NEEDED, reason="needs 6 GB of free memory"),
]


@dataclass(frozen=True)
class Drawn:
    latents: Tensor  # (4, h, w)
    pixels: Tensor  # (H, W, 3) in 0..1


@pytest.fixture(scope="module", params=["tiny", pytest.param("full size", marks=FULL)])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Drawn]]:
    """Ours and theirs, one after another, so that only one model is in memory."""
    spec = x4_spec() if request.param == "tiny" else full_x4_spec()
    folder = tmp_path_factory.mktemp("x4")
    (folder / "ours").mkdir()
    write_ldm(folder / "ours" / "model.safetensors", spec, metadata=STATED)
    result = Engine(folder / "ours", "cpu", "float32").generate(REQUEST)
    ours = Drawn(result.latents[0], as_tensor(result.images[0]))
    del result
    shutil.rmtree(folder / "ours")
    write_diffusers(folder / "theirs", spec)
    yield [ours, theirs(folder / "theirs")]
    shutil.rmtree(folder)


def as_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image, dtype=np.float32)) / 255


@torch.no_grad()
def theirs(folder: Path) -> Drawn:
    import diffusers
    from transformers import CLIPTextModel

    library: Any = diffusers
    schedule = {"beta_start": 0.0001, "beta_end": 0.02}
    text = CLIPTextModel.from_pretrained(folder / "text_encoder")
    pipeline = library.StableDiffusionUpscalePipeline(
        vae=library.AutoencoderKL.from_pretrained(folder / "vae"),
        text_encoder=text,
        tokenizer=None,
        unet=library.UNet2DConditionModel.from_pretrained(folder / "unet"),
        low_res_scheduler=library.DDPMScheduler(beta_schedule="scaled_linear", **schedule),
        scheduler=on("EulerDiscreteScheduler", SIGMAS, prediction_type="v_prediction", **schedule),
    )
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    latents = torch.randn(1, 4, SIZE[1], SIZE[0], generator=generator)
    found = pipeline(
        image=SMALL,
        prompt_embeds=embed(text, REQUEST.prompt),
        negative_prompt_embeds=embed(text, REQUEST.negative_prompt),
        num_inference_steps=len(SIGMAS) - 1,
        guidance_scale=SCALE,
        noise_level=REQUEST.noise_level,
        generator=generator,  # its next numbers are the noise over the small picture, as in ours
        latents=latents,
        output_type="latent",
    ).images
    pixels = pipeline.vae.decode(found / pipeline.vae.config.scaling_factor).sample[0]
    return Drawn(found[0], (pixels / 2 + 0.5).clamp(0, 1).permute(1, 2, 0))


def embed(encoder: Any, text: str) -> Tensor:
    ids = load_tokenizer().encode(text)
    context: Tensor = encoder(torch.tensor([[49406, *ids, 49407, *[0] * (75 - len(ids))]])).last_hidden_state
    return context


def distance(left: Tensor, right: Tensor) -> float:
    return float((left - right).norm() / right.norm())


def test_latents_equal_diffusers(pair: list[Drawn]) -> None:
    ours, their = pair
    assert ours.latents.shape == (4, SIZE[1], SIZE[0])
    print("latents", distance(ours.latents, their.latents))
    assert distance(ours.latents, their.latents) < 1e-3


def test_pixels_equal_diffusers(pair: list[Drawn]) -> None:
    """To half a level of the 8 bits that ours were rounded to, and 1e-3 of a level's worth."""
    ours, their = pair
    assert ours.pixels.shape == (4 * SIZE[1], 4 * SIZE[0], 3)
    worst = float((ours.pixels - their.pixels).abs().max())
    print("pixels", worst)
    assert worst < 0.5 / 255 + 1e-3


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("x4")
    write_ldm(folder / "model.safetensors", x4_spec(), metadata=STATED)
    write_ldm(folder / "plain.safetensors", sd1_spec())
    return Engine(folder, "cpu", "float32")


def changed(engine: Engine, **changes: Any) -> Tensor:
    return engine.generate(dataclasses.replace(REQUEST, **changes)).latents[0]


def test_noise_level_and_picture_count(engine: Engine) -> None:
    plain = changed(engine)
    assert torch.equal(plain, changed(engine, denoising_strength=0.3))  # it begins with noise alone, always
    assert distance(changed(engine, noise_level=200), plain) > 1e-2
    assert distance(changed(engine, init_image=SMALL.rotate(180)), plain) > 1e-2


def test_the_size_is_four_times_the_pictures_unless_it_is_given(engine: Engine) -> None:
    quick = dataclasses.replace(REQUEST, sigmas=None, steps=1, cfg_scale=1.0)
    asked: list[tuple[dict[str, Any], tuple[int, int]]] = [
        ({}, (160, 96)),
        ({"width": 64}, (64, 32)),  # 38.4, rounded down to whole latents
        ({"width": 64, "height": 64}, (64, 64)),
    ]
    for changes, size in asked:
        result = engine.generate(dataclasses.replace(quick, **changes))
        assert result.images[0].size == size
        assert result.request.denoising_strength == 1.0


def test_the_picture_says_how_it_is_drawn_again(engine: Engine) -> None:
    first = engine.generate(dataclasses.replace(REQUEST, sigmas=None, steps=2))
    again = dataclasses.replace(infotext.to_request(infotext.parse(first.infotexts[0])), init_image=SMALL)
    assert again.noise_level == REQUEST.noise_level
    assert torch.equal(engine.generate(again).latents, first.latents)


MASK = Image.new("L", SIZE, 255)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"init_image": None}, "enlarges pictures 4 times, and the request has none"),
        ({"mask": MASK}, "takes no mask"),
        ({"depth": MASK}, "takes no depth"),
        ({"hires": HiresPass()}, "takes no hires"),
        ({"refiner": "plain"}, "takes no refiner"),
        ({"model": "plain", "refiner": "model"}, "takes no part in another's"),
        ({"model": "plain", "hires": HiresPass(model="model")}, "takes no part in another's"),
        ({"noise_level": 351}, "trained up to 350"),
        ({"noise_level": -1}, "between 0 and 999"),
        ({"init_image": SMALL.resize((4096, 8))}, "width is 16384"),
    ],
)
def test_what_it_cannot_do_is_told(engine: Engine, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        changed(engine, **changes)


def test_a_vae_of_another_factor_is_refused(engine: Engine) -> None:
    with pytest.raises(UnsupportedModel, match="1/8 of a picture's side, model 1/4"):
        changed(engine, vae=str(engine.catalog.find("plain").path))
