"""Whole pictures against diffusers' own pipeline on the same weights, loaded by its own road.

The same prompt, negative prompt, starting noise and sigmas; relative L2 of the latents below 1e-3 in float32 (measured:
about 1e-5 on the tiny model, see docs/decisions for full size).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.checkpoints import sd1_spec, write_diffusers
from torch import Tensor

from inkwash.core.request import GenerateRequest
from inkwash.diffusion import SCHEDULES, STABLE_DIFFUSION
from inkwash.generation.engine import Engine
from inkwash.prompt import load_tokenizer

STEPS, SIZE, SEED = 8, 64, 11
REQUEST = GenerateRequest(
    prompt="a cute cat, best quality",
    negative_prompt="blurry",
    seed=SEED,
    steps=STEPS,
    cfg_scale=5.0,
    width=SIZE,
    height=SIZE,
    model="tiny",
)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """diffusers' pipeline on the weights of the model "tiny", read from a diffusers folder by its own loaders."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    folder = tmp_path_factory.mktemp("diffusers")
    write_diffusers(folder, sd1_spec())
    pipe = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(folder / "vae"),
        text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder"),
        tokenizer=None,
        unet=UNet2DConditionModel.from_pretrained(folder / "unet"),
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def on(kind: str, sigmas: Tensor, **options: Any) -> Any:
    """A diffusers scheduler that walks these sigmas, at the fractional timesteps they belong to."""
    import diffusers

    base = getattr(diffusers, kind)

    class Explicit(base):  # type: ignore[misc]
        def set_timesteps(self, count: int, device: Any = None, **_: Any) -> None:
            super().set_timesteps(count, device=device)
            log_sigmas = ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt().log().numpy()
            times = np.interp(sigmas[:-1].log().numpy(), log_sigmas, np.arange(1000.0))
            self.timesteps = torch.from_numpy(times)
            self.sigmas = sigmas.clone()

    return Explicit(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", **options)


def theirs(pipeline: Any, scheduler: Any, request: GenerateRequest) -> Tensor:
    """diffusers' latents, from embeddings that transformers computes, and noise of A1111's order: start, then steps."""
    generator = torch.Generator().manual_seed(request.seed)
    start = torch.randn(1, 4, SIZE // 8, SIZE // 8, generator=generator)
    if "DPMSolver" in type(scheduler).__mro__[1].__name__:
        # It takes x in variance-preserving form; sigma * noise is this there, not quite the noise itself.
        start = start * KARRAS[0] / (1 + KARRAS[0] ** 2).sqrt()
    pipeline.scheduler = scheduler
    ids = [load_tokenizer().encode(text) for text in (request.prompt, request.negative_prompt)]
    padded = [[49406, *row, *[49407] * (76 - len(row))] for row in ids]
    with torch.no_grad():
        embeddings = pipeline.text_encoder(torch.tensor(padded)).last_hidden_state
    latents: Tensor = pipeline(
        prompt_embeds=embeddings[:1],
        negative_prompt_embeds=embeddings[1:],
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
def test_latents_equal_diffusers(
    engine: Engine, pipeline: Any, sampler: str, schedule: str, kind: str, sigmas: Tensor
) -> None:
    request = dataclasses.replace(REQUEST, sampler=sampler, schedule=schedule)
    expected = theirs(pipeline, on(kind, sigmas), request)
    assert distance(engine.generate(request).latents, expected) < 1e-3


def test_explicit_sigmas_are_walked_as_given(engine: Engine, pipeline: Any) -> None:
    sigmas = torch.tensor([12.0, 5.0, 1.5, 0.3, 0.0])
    request = dataclasses.replace(REQUEST, sampler="Euler", sigmas=tuple(sigmas.tolist()), steps=4)
    expected = theirs(pipeline, on("EulerDiscreteScheduler", sigmas), request)
    assert distance(engine.generate(request).latents, expected) < 1e-3


def test_ddim_with_its_own_last_alpha_equals_diffusers(engine: Engine, pipeline: Any) -> None:
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
    assert distance(engine.generate(request).latents, theirs(pipeline, scheduler, request)) < 1e-3


def test_v_prediction_equals_diffusers(engine: Engine, pipeline: Any) -> None:
    """The same weights, read as a network that predicts v (arXiv:2202.00512)."""
    request = dataclasses.replace(REQUEST, sampler="Euler", schedule="Karras", model="tiny-v")
    expected = theirs(pipeline, on("EulerDiscreteScheduler", KARRAS, prediction_type="v_prediction"), request)
    assert distance(engine.generate(request).latents, expected) < 1e-3
