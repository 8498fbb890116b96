"""What is said about a request because of the kind of model that draws it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image
from tests.support.checkpoints import sd1_spec, sd2_spec, sdxl_spec

from inkwash.checkpoint import ModelSpec
from inkwash.core.request import GenerateRequest, Region, SDUpscale, TiledDiffusion
from inkwash.generation.cautions import cautions

XL = sdxl_spec()
LARGE = GenerateRequest(width=1024, height=1024, prompt="a cat, best quality", tiled=TiledDiffusion(overlap=16))
UPSCALE = GenerateRequest(
    width=512,
    height=512,
    prompt="a cat",
    init_image=Image.new("RGB", (8, 8)),
    sd_upscale=SDUpscale(),
    keep_structure=0.0,
)
IN_REGIONS = TiledDiffusion(regions=(Region(),))


@pytest.mark.parametrize(
    ("spec", "request_", "words"),
    [
        (sd1_spec(), GenerateRequest(width=512, height=768), None),
        (sd1_spec(), GenerateRequest(width=1024, height=1024), "about 512x512; 1024x1024 may give doubled"),
        (XL, GenerateRequest(width=832, height=1216), None),
        (XL, GenerateRequest(width=512, height=512), "about 1024x1024; 512x512"),
        (XL, GenerateRequest(width=1024, height=1024, clip_skip=2), None),
        (XL, GenerateRequest(width=1024, height=1024, clip_skip=3), "Clip skip 3 changes nothing"),
        (sd1_spec(), GenerateRequest(width=512, height=512, clip_skip=3), None),
        (replace(XL, few_steps="Turbo"), GenerateRequest(steps=30), "Turbo model"),
        (replace(XL, few_steps="Turbo"), GenerateRequest(steps=4, cfg_scale=1), None),
        (replace(XL, few_steps="LCM"), GenerateRequest(steps=4, cfg_scale=7), "sampler LCM"),
        (sdxl_spec(refiner=True), GenerateRequest(), "refiner"),
        (replace(sd2_spec(), unsure=True), GenerateRequest(), "parameterization: eps"),
        (sd2_spec(), GenerateRequest(), None),
        (sd1_spec(), LARGE, "name things in regions"),
        (sd1_spec(), replace(LARGE, prompt="best quality, (8k:1.2)"), None),
        (sd1_spec(), replace(LARGE, tiled=IN_REGIONS), None),
        (sd1_spec(), replace(LARGE, width=768, height=768), None),
        (sd1_spec(), UPSCALE, "keep the structure"),
        (sd1_spec(), replace(UPSCALE, keep_structure=0.5), None),
        (sd1_spec(), replace(UPSCALE, denoising_strength=0.2), None),
    ],
)
def test_cautions(spec: ModelSpec, request_: GenerateRequest, words: str | None) -> None:
    said = cautions(spec, request_)
    assert len(said) == (words is not None)
    assert words is None or words in said[0]
