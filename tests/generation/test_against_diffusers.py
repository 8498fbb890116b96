"""Whole pictures against diffusers' own pipeline on the same weights, loaded by its own road.

The same prompt, negative prompt, starting noise and sigmas; relative L2 of the latents below 1e-3 in float32 (measured:
about 1e-5 on the tiny model, see docs/decisions for full size).
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.checkpoints import full_spec, sd1_spec, write_diffusers, write_ldm
from tests.support.pipelines import on
from torch import Tensor

from inkwash.core.request import GenerateRequest
from inkwash.diffusion import SCHEDULES, STABLE_DIFFUSION
from inkwash.generation.engine import Engine
from inkwash.generation.text import encode_chunks
from inkwash.prompt import load_tokenizer, tokenize

STEPS, SIZE, SEED = 8, 64, 11
REQUEST = GenerateRequest(
    prompt="a cute cat, best quality",
    negative_prompt="blurry",
    seed=SEED,
    steps=STEPS,
    cfg_scale=5.0,
    width=SIZE,
    height=SIZE,
    model="eps",
)
SPECS = {"tiny": sd1_spec, "full size": full_spec}


@dataclass(frozen=True)
class Pair:
    """The same weights twice: an LDM file in our engine, a diffusers folder in diffusers' pipeline."""

    engine: Engine
    pipeline: Any


@pytest.fixture(scope="module", params=["tiny", pytest.param("full size", marks=pytest.mark.slow)])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The tiny model in every run; SD 1.5's own size (two files of 4 GB) with ``-m slow``."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    folder = tmp_path_factory.mktemp("pair")
    make = SPECS[request.param]
    (folder / "ours").mkdir()
    write_ldm(folder / "ours" / "eps.safetensors", make())
    shutil.copy(folder / "ours" / "eps.safetensors", folder / "ours" / "v.safetensors")
    (folder / "ours" / "v.yaml").write_text("model: {params: {parameterization: v}}\n")
    write_diffusers(folder / "theirs", make())
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(folder / "theirs" / "vae"),
        text_encoder=CLIPTextModel.from_pretrained(folder / "theirs" / "text_encoder"),
        tokenizer=None,
        unet=UNet2DConditionModel.from_pretrained(folder / "theirs" / "unet"),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    yield Pair(Engine(folder / "ours", "cpu", "float32"), pipeline)
    shutil.rmtree(folder)


def embed(pipeline: Any, text: str) -> Tensor:
    """transformers' embedding of a text of any length, 75 tokens a call: (1, 77 n, D)."""
    ids = load_tokenizer().encode(text)
    chunks = [ids[i : i + 75] for i in range(0, max(len(ids), 1), 75)]
    padded = [[49406, *chunk, *[49407] * (76 - len(chunk))] for chunk in chunks]
    with torch.no_grad():
        embedded: Tensor = pipeline.text_encoder(torch.tensor(padded)).last_hidden_state
    return embedded.flatten(0, 1)[None]


def theirs(pipeline: Any, scheduler: Any, request: GenerateRequest) -> Tensor:
    """diffusers' latents, from embeddings that transformers computes, and noise of A1111's order: start, then steps."""
    generator = torch.Generator().manual_seed(request.seed)
    start = torch.randn(1, 4, SIZE // 8, SIZE // 8, generator=generator)
    if "DPMSolver" in type(scheduler).__mro__[1].__name__:
        # It takes x in variance-preserving form; sigma * noise is this there, not quite the noise itself.
        start = start * KARRAS[0] / (1 + KARRAS[0] ** 2).sqrt()
    pipeline.scheduler = scheduler
    latents: Tensor = pipeline(
        prompt_embeds=embed(pipeline, request.prompt),
        negative_prompt_embeds=embed(pipeline, request.negative_prompt),
        latents=start,
        generator=generator,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        height=SIZE,
        width=SIZE,
        output_type="latent",
    ).images
    return latents


def distance(left: Tensor, right: Tensor) -> float:
    return float((left - right).norm() / right.norm())


UNIFORM = SCHEDULES["Uniform"](STEPS, STABLE_DIFFUSION.sigma_min, STABLE_DIFFUSION.sigma_max)
KARRAS = SCHEDULES["Karras"](STEPS, STABLE_DIFFUSION.sigma_min, STABLE_DIFFUSION.sigma_max)


@pytest.mark.parametrize(
    ("sampler", "schedule", "kind", "sigmas"),
    [
        ("Euler", "Uniform", "EulerDiscreteScheduler", UNIFORM),
        ("Euler", "Karras", "EulerDiscreteScheduler", KARRAS),
        ("Euler a", "Uniform", "EulerAncestralDiscreteScheduler", UNIFORM),
        ("DPM++ 2M", "Karras", "DPMSolverMultistepScheduler", KARRAS),
        ("DPM++ 2M Karras", "Automatic", "DPMSolverMultistepScheduler", KARRAS),
    ],
)
def test_latents_equal_diffusers(pair: Pair, sampler: str, schedule: str, kind: str, sigmas: Tensor) -> None:
    request = dataclasses.replace(REQUEST, sampler=sampler, schedule=schedule)
    expected = theirs(pair.pipeline, on(kind, sigmas), request)
    assert distance(pair.engine.generate(request).latents, expected) < 1e-3


def test_explicit_sigmas_are_walked_as_given(pair: Pair) -> None:
    sigmas = torch.tensor([12.0, 5.0, 1.5, 0.3, 0.0])
    request = dataclasses.replace(REQUEST, sampler="Euler", sigmas=tuple(sigmas.tolist()), steps=4)
    expected = theirs(pair.pipeline, on("EulerDiscreteScheduler", sigmas), request)
    assert distance(pair.engine.generate(request).latents, expected) < 1e-3


def test_ddim_with_its_own_last_alpha_equals_diffusers(pair: Pair) -> None:
    """SD's own DDIM configuration: leading timesteps, offset 1, and alpha_0 rather than 1 at the end."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    request = dataclasses.replace(REQUEST, sampler="DDIM")
    assert distance(pair.engine.generate(request).latents, theirs(pair.pipeline, scheduler, request)) < 1e-3


def test_v_prediction_equals_diffusers(pair: Pair) -> None:
    """The same weights, read as a network that predicts v (arXiv:2202.00512)."""
    request = dataclasses.replace(REQUEST, sampler="Euler", schedule="Karras", model="v")
    expected = theirs(pair.pipeline, on("EulerDiscreteScheduler", KARRAS, prediction_type="v_prediction"), request)
    assert distance(pair.engine.generate(request).latents, expected) < 1e-3


@pytest.mark.parametrize("tokens", [20, 60, 75, 76, 150, 200])
def test_text_embeddings_equal_transformers(pair: Pair, tokens: int) -> None:
    """Prompts of one to three chunks; words without commas, so that chunks break every 75 tokens."""
    text = " ".join(["cat", "dog", "house", "tree", "boat"][i % 5] for i in range(tokens))
    model = pair.engine.model("eps")
    ours = encode_chunks(model, tuple(tokenize(text, load_tokenizer())), clip_skip=1, emphasis="Original")
    assert distance(ours.context, embed(pair.pipeline, text)[0]) < 1e-3


def test_pictures_equal_diffusers(pair: Pair) -> None:
    """Through the VAE: at most one of 255 levels apart, rounding included."""
    request = dataclasses.replace(REQUEST, sampler="Euler", schedule="Karras")
    result = pair.engine.generate(request)
    with torch.no_grad():
        decoded = pair.pipeline.vae.decode(result.latents / 0.18215).sample[0]
    expected = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert np.abs(expected - np.asarray(result.images[0], dtype=np.float32)).max() <= 1
