"""SD 2.x and SDXL against diffusers' own pipelines on the same weights: texts, pooled texts, one U-Net call, latents.

Ours reads an LDM file, theirs a folder that diffusers' and transformers' own classes saved.  The same prompts, starting
noise and sigmas; relative L2 below 1e-3 in float32.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.checkpoints import full_sd2_spec, sd2_spec, sdxl_spec, write_diffusers, write_ldm
from tests.support.pipelines import on
from tests.support.references import Answers, distance, drawn, network, start
from torch import Tensor

from inkwash.checkpoint import FAMILIES, ModelSpec
from inkwash.core.request import GenerateRequest
from inkwash.generation.conditioning import row
from inkwash.generation.engine import Engine
from inkwash.generation.loop import denoise
from inkwash.generation.run import Denoise, Encoded
from inkwash.generation.text import encode_chunks
from inkwash.prompt import load_tokenizer, tokenize

SIGMAS = (14.6, 6.0, 2.5, 0.9, 0.3, 0.0)
REQUEST = GenerateRequest(
    prompt="a cute cat, best quality",
    negative_prompt="blurry",
    seed=11,
    sampler="Euler",
    sigmas=SIGMAS,
    cfg_scale=5.0,
    width=64,
    height=96,
    model="model",
)
LONG = " ".join(["cat", "dog", "house", "tree", "boat"][i % 5] for i in range(100))


@dataclass(frozen=True)
class Case:
    """A family, and how its pipeline is made."""

    make: Callable[[], ModelSpec]
    metadata: dict[str, str]


def v() -> ModelSpec:
    return sdxl_spec((64, 128), (1, 2), widths=(128, 64), text_layers=(3, 2), prediction="v")


CASES = {
    "SD2 v": Case(sd2_spec, {"modelspec.prediction_type": "v"}),
    "SD2 eps": Case(lambda: sd2_spec(width=128, prediction="eps"), {"modelspec.prediction_type": "epsilon"}),
    "SDXL": Case(sdxl_spec, {}),
    "SDXL v": Case(v, {"modelspec.prediction_type": "v"}),
    "refiner": Case(lambda: sdxl_spec((64, 128, 128, 64), (0, 2, 2, 0), refiner=True), {}),
    "SD2 v, full size": Case(full_sd2_spec, {"modelspec.prediction_type": "v"}),
}


@pytest.fixture(scope="module", params=[pytest.param(n, marks=[pytest.mark.slow] * ("full" in n)) for n in CASES])
def answers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Answers]]:
    """Ours and theirs, one after another, so that only one model is in memory."""
    case, folder = CASES[request.param], tmp_path_factory.mktemp("families")
    (folder / "ours").mkdir()
    write_ldm(folder / "ours" / "model.safetensors", case.make(), metadata=case.metadata)
    write_diffusers(folder / "theirs", case.make())
    yield [ours(folder / "ours"), theirs(folder / "theirs", case.make(), REQUEST)]
    shutil.rmtree(folder)


def ours(folder: Path) -> Answers:
    engine = Engine(folder, "cpu", "float32")
    model = engine.model("model")
    texts = [encode_chunks(model, tuple(tokenize(t, load_tokenizer())), 1, "Original") for t in (REQUEST.prompt, LONG)]
    x = start(REQUEST)[0] * 2.5
    [[unet]] = denoise([Denoise(model, (row(model, x, 2.5, texts[0], None),))])
    latents = engine.generate(REQUEST).latents[0]
    return Answers([text.context for text in texts], [text.pooled for text in texts], unet, latents)


def theirs(folder: Path, spec: ModelSpec, request: GenerateRequest, **options: Any) -> Answers:
    """options: of the scheduler."""
    pipeline = pipeline_of(folder, spec, torch.tensor(request.sigmas), **options)
    texts = [embed(pipeline, spec, text) for text in (request.prompt, LONG)]
    negative = embed(pipeline, spec, request.negative_prompt) if request.negative_prompt else None
    unet = network(pipeline, spec, start(request) * 2.5, 2.5, texts[0])
    return Answers(
        [text.context for text in texts],
        [text.pooled for text in texts],
        unet,
        drawn(pipeline, spec, request, texts[0], negative),
    )


def pipeline_of(folder: Path, spec: ModelSpec, sigmas: Tensor, **options: Any) -> Any:
    import diffusers
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    library: Any = diffusers
    kinds = {
        place.component: CLIPTextModelWithProjection if place.projection else CLIPTextModel
        for place in FAMILIES[spec.family].texts
    }
    parts: dict[str, Any] = {name: kind.from_pretrained(folder / name) for name, kind in kinds.items()}
    parts |= {"tokenizer": None, "vae": library.AutoencoderKL.from_pretrained(folder / "vae")}
    parts |= {"unet": library.UNet2DConditionModel.from_pretrained(folder / "unet")}
    prediction = "v_prediction" if spec.prediction == "v" else "epsilon"
    parts["scheduler"] = on("EulerDiscreteScheduler", sigmas, prediction_type=prediction, **options)
    if spec.family == "sd2":
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        pipeline = library.StableDiffusionPipeline(**parts)
    elif spec.family == "sdxl":
        pipeline = library.StableDiffusionXLPipeline(**parts, tokenizer_2=None)
    else:
        parts |= {"text_encoder": None, "tokenizer_2": None, "requires_aesthetics_score": True}
        pipeline = library.StableDiffusionXLImg2ImgPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def embed(pipeline: Any, spec: ModelSpec, text: str) -> Encoded:
    """transformers' embedding of a text of any length, 75 tokens a call, as diffusers' pipelines read its output."""
    ids = load_tokenizer().encode(text)
    chunks = [ids[i : i + 75] for i in range(0, max(len(ids), 1), 75)]
    contexts, pooled = [], None
    for place, encoder in zip(FAMILIES[spec.family].texts, spec.texts, strict=True):
        padding = 0 if place.openclip else 49407
        padded = [[49406, *chunk, 49407, *[padding] * (75 - len(chunk))] for chunk in chunks]
        output = getattr(pipeline, place.component)(torch.tensor(padded), output_hidden_states=True)
        contexts.append(output.hidden_states[-2] if spec.family != "sd2" else output.last_hidden_state)
        pooled = output.text_embeds[0] if encoder.projection else None
    return Encoded(torch.cat(contexts, dim=2).flatten(0, 1), pooled)


def test_texts_equal_transformers(answers: list[Answers]) -> None:
    left, right = answers
    for mine, their in zip(left.contexts, right.contexts, strict=True):
        assert mine.shape == their.shape
        assert distance(mine, their) < 1e-3


def test_pooled_texts_equal_transformers(answers: list[Answers]) -> None:
    """Of the first chunk, as in A1111."""
    left, right = answers
    for mine, their in zip(left.pooled, right.pooled, strict=True):
        assert (mine is None) is (their is None)
        assert mine is None or their is None or distance(mine, their) < 1e-3


def test_one_unet_call_equals_diffusers(answers: list[Answers]) -> None:
    left, right = answers
    assert distance(left.unet, right.unet) < 1e-3


def test_latents_equal_diffusers(answers: list[Answers]) -> None:
    left, right = answers
    assert distance(left.latents, right.latents) < 1e-3


def test_zeros_stand_for_an_empty_negative_prompt(tmp_path: Path) -> None:
    """SDXL's default in diffusers (force_zeros_for_empty_prompt) and in A1111."""
    (tmp_path / "ours").mkdir()
    write_ldm(tmp_path / "ours" / "model.safetensors", sdxl_spec())
    write_diffusers(tmp_path / "theirs", sdxl_spec())
    request = dataclasses.replace(REQUEST, negative_prompt="")
    expected = theirs(tmp_path / "theirs", sdxl_spec(), request).latents
    found = Engine(tmp_path / "ours", "cpu", "float32").generate(request).latents[0]
    assert distance(found, expected) < 1e-3
    written = Engine(tmp_path / "ours", "cpu", "float32").generate(dataclasses.replace(request, negative_prompt=","))
    assert distance(written.latents[0], expected) > 1e-3


def test_zero_terminal_snr_equals_diffusers(tmp_path: Path) -> None:
    """A velocity model with the marker ztsnr begins at the sigma of diffusers' rescale_betas_zero_snr, 4096."""
    from inkwash.checkpoint import detect, model_weights, save_ldm
    from inkwash.checkpoint import open as open_source

    write_diffusers(tmp_path / "theirs", v())
    (tmp_path / "ours").mkdir()
    with open_source(tmp_path / "theirs") as source:
        spec = detect(tmp_path / "theirs")
        zero = dataclasses.replace(spec, noise=dataclasses.replace(spec.noise, zero_snr=True))
        save_ldm(tmp_path / "ours" / "model.safetensors", dict(model_weights(source, spec)), zero)
    engine = Engine(tmp_path / "ours", "cpu", "float32")
    schedule = engine.model("model").noise_schedule
    scheduler = on("EulerDiscreteScheduler", torch.tensor(SIGMAS), rescale_betas_zero_snr=True)
    levels = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt()
    assert schedule.sigma_max == pytest.approx(float(levels[-1]), rel=1e-4)
    assert distance(schedule.sigmas[:-1], levels[:-1].double()) < 1e-3
    request = dataclasses.replace(REQUEST, sigmas=(schedule.sigma_max, *SIGMAS))
    expected = theirs(tmp_path / "theirs", v(), request, rescale_betas_zero_snr=True).latents
    assert distance(engine.generate(request).latents[0], expected) < 1e-3
