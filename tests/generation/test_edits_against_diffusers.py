"""Picture to picture, inpainting with nine channels and depth to picture, against diffusers' own pipelines.

The same weights, prompts, noise and one explicit list of sigmas; relative L2 of the latents below 1e-3 in float32.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.generation.test_against_diffusers import distance, embed, on
from tests.support.checkpoints import sd1_spec, write_diffusers, write_ldm
from tests.support.depth import dpt_reference, midas_state
from tests.support.depth import theirs as midas_depths
from torch import Tensor

from inkwash.core.errors import InvalidRequest, ModelNotFound
from inkwash.core.request import GenerateRequest
from inkwash.generation.engine import Engine

SIZE, SEED = 64, 11
SIGMAS = torch.tensor([6.0, 3.0, 1.5, 0.6, 0.2, 0.0])
RANDOM = np.random.default_rng(5)
PHOTO = Image.fromarray(RANDOM.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((SIZE, SIZE))
DEPTH = Image.fromarray(RANDOM.integers(0, 256, (8, 8), dtype=np.uint8)).resize((SIZE, SIZE))
MASK = Image.new("L", (SIZE, SIZE))
MASK.paste(255, (16, 8, 48, 40))
REQUEST = GenerateRequest(
    prompt="a cute cat, best quality",
    negative_prompt="blurry",
    seed=SEED,
    cfg_scale=5.0,
    model="tiny",
    sampler="Euler",
    sigmas=tuple(SIGMAS.tolist()),
    init_image=PHOTO,
    denoising_strength=0.5,
)


def both(folder: Path, channels: int) -> tuple[Engine, dict[str, Any]]:
    """Our engine, and the parts of diffusers' pipelines, on the same weights."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    spec = sd1_spec(in_channels=channels)
    (folder / "ours").mkdir()
    write_ldm(folder / "ours" / "tiny.safetensors", spec)
    write_diffusers(folder / "theirs", spec)
    parts = {
        "vae": AutoencoderKL.from_pretrained(folder / "theirs" / "vae"),
        "text_encoder": CLIPTextModel.from_pretrained(folder / "theirs" / "text_encoder"),
        "unet": UNet2DConditionModel.from_pretrained(folder / "theirs" / "unet"),
        "tokenizer": None,
    }
    return Engine(folder / "ours", "cpu", "float32"), parts


@pytest.fixture(autouse=True)
def posterior_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers draws latents from the autoencoder's posterior; we take its mean, which needs no numbers."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda posterior, generator=None: posterior.mode())


SAFE = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def theirs(pipeline: Any, **own: Any) -> Tensor:
    """All of the sigmas are walked (strength 1 of five steps), from latents that are given."""
    pipeline.set_progress_bar_config(disable=True)
    latents: Tensor = pipeline(
        prompt_embeds=embed(pipeline, REQUEST.prompt),
        negative_prompt_embeds=embed(pipeline, REQUEST.negative_prompt),
        num_inference_steps=len(SIGMAS) - 1,
        guidance_scale=REQUEST.cfg_scale,
        generator=torch.Generator().manual_seed(SEED),
        output_type="latent",
        **own,
    ).images
    return latents


def mean_latents(vae: Any, picture: Tensor) -> Tensor:
    """diffusers' autoencoder on (3, H, W) in -1..1, without the draw from its posterior."""
    with torch.no_grad():
        encoded: Tensor = vae.encode(picture[None]).latent_dist.mode() * vae.config.scaling_factor
    return encoded


def pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1) / 127.5 - 1


def test_img2img_equals_diffusers(tmp_path: Path) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline

    engine, parts = both(tmp_path, 4)
    pipeline = StableDiffusionImg2ImgPipeline(**parts, scheduler=on("EulerDiscreteScheduler", SIGMAS), **SAFE)
    expected = theirs(pipeline, image=PHOTO, strength=1.0)
    result = engine.generate(REQUEST)
    assert distance(result.latents, expected) < 1e-3
    no_picture = dataclasses.replace(REQUEST, init_image=None, width=SIZE, height=SIZE)
    assert distance(engine.generate(no_picture).latents, expected) > 0.01  # the picture counts
    for size in ((SIZE, SIZE), (72, 40)):
        encoded = engine.generate(dataclasses.replace(REQUEST, init_image=PHOTO.resize(size), denoising_strength=0.0))
        assert distance(encoded.latents, mean_latents(parts["vae"], pixels(PHOTO.resize(size)))) < 1e-4


def test_inpainting_with_nine_channels_equals_diffusers(tmp_path: Path) -> None:
    from diffusers import StableDiffusionInpaintPipeline

    engine, parts = both(tmp_path, 9)
    noise = torch.randn(1, 4, SIZE // 8, SIZE // 8, generator=torch.Generator().manual_seed(SEED))
    hidden = pixels(PHOTO) * (torch.from_numpy(np.array(MASK)) < 128)
    pipeline = StableDiffusionInpaintPipeline(**parts, scheduler=on("EulerDiscreteScheduler", SIGMAS), **SAFE)
    expected = theirs(
        pipeline,
        image=pixels(PHOTO)[None],
        mask_image=MASK,
        masked_image_latents=mean_latents(parts["vae"], hidden),
        latents=mean_latents(parts["vae"], pixels(PHOTO)) / SIGMAS[0] + noise,
        strength=1.0,
        height=SIZE,
        width=SIZE,
    )
    result = engine.generate(dataclasses.replace(REQUEST, mask=MASK))
    assert distance(result.latents, expected) < 1e-3


def test_depth_to_picture_equals_diffusers(tmp_path: Path) -> None:
    from diffusers import StableDiffusionDepth2ImgPipeline

    engine, parts = both(tmp_path, 5)
    pipeline = StableDiffusionDepth2ImgPipeline(
        **parts, scheduler=on("EulerDiscreteScheduler", SIGMAS), depth_estimator=None, feature_extractor=None
    )
    expected = theirs(
        pipeline,
        image=PHOTO,
        depth_map=torch.from_numpy(np.array(DEPTH, dtype=np.float32))[None] / 255,
        strength=1.0,
    )
    result = engine.generate(dataclasses.replace(REQUEST, depth=DEPTH))
    assert distance(result.latents, expected) < 1e-3


def test_estimated_depth_equals_diffusers(tmp_path: Path) -> None:
    """The checkpoint's own depth model, our network, against transformers' in diffusers' pipeline."""
    from diffusers import StableDiffusionDepth2ImgPipeline

    engine, parts = both(tmp_path, 5)
    reference, path = dpt_reference(), tmp_path / "ours" / "tiny.safetensors"
    own = {f"depth_model.model.{name}": tensor for name, tensor in midas_state(reference).items()}
    save_file(load_file(path) | own, path)
    shown = torch.from_numpy(np.array(PHOTO.resize((384, 384), Image.Resampling.BICUBIC))).permute(2, 0, 1)
    seen = midas_depths(reference, shown[None] / 127.5 - 1)
    pipeline = StableDiffusionDepth2ImgPipeline(
        **parts, scheduler=on("EulerDiscreteScheduler", SIGMAS), depth_estimator=None, feature_extractor=None
    )
    whole = torch.nn.functional.interpolate(seen[None], size=(SIZE, SIZE), mode="bicubic")[0]
    expected = theirs(pipeline, image=PHOTO, depth_map=whole, strength=1.0)
    result = engine.generate(REQUEST)
    assert distance(result.latents, expected) < 1e-3
    assert result.request.depth is None
    assert "Depth hash" not in result.infotexts[0]
    assert distance(engine.generate(dataclasses.replace(REQUEST, depth=DEPTH)).latents, expected) > 1e-3


def test_depth_without_map_or_estimator_is_refused(tmp_path: Path) -> None:
    engine, _ = both(tmp_path, 5)
    with pytest.raises(ModelNotFound, match=r"no depth model in .*models/depth"):
        engine.generate(REQUEST)
    with pytest.raises(InvalidRequest, match="draws over a depth map"):
        engine.generate(dataclasses.replace(REQUEST, init_image=None))
    folder = tmp_path / "ours" / "models" / "depth"
    folder.mkdir(parents=True)
    save_file(midas_state(dpt_reference()), folder / "midas.safetensors")
    assert engine.generate(REQUEST).latents.isfinite().all()
