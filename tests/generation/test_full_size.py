"""SD 2.1 and SDXL at their own sizes, in float32, against diffusers' pipelines, which load the same file by their own
conversion: texts, pooled texts, one U-Net call, and the latents that ``Engine.generate`` leaves.

Files of random weights under the real names, in float16 as most are.  The same prompts, starting noise and sigmas;
relative L2 below 1e-3.  Both sides load the U-Net when the texts are done, so that SDXL's 14 GB of float32 weights
never lie in memory at once: 11 GB at most.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch
from tests.support.checkpoints import full_sd2_spec, full_sdxl_spec, sd1_spec, write_ldm
from tests.support.pipelines import from_single_file, on, write_configs
from tests.support.references import Answers, distance, drawn, network, start

from inkwash.checkpoint import ModelSpec
from inkwash.core.request import GenerateRequest
from inkwash.core.settings import Memory
from inkwash.generation.conditioning import row
from inkwash.generation.engine import Engine
from inkwash.generation.loop import denoise
from inkwash.generation.run import Denoise, Encoded
from inkwash.generation.text import encode_chunks
from inkwash.prompt import load_tokenizer, tokenize

REQUEST = GenerateRequest(
    prompt="a cute cat, best quality",
    negative_prompt="blurry",
    seed=11,
    sampler="Euler",
    sigmas=(14.6, 4.0, 0.0),
    cfg_scale=5.0,
    width=128,
    height=192,
    model="model",
)


@dataclass(frozen=True)
class Case:
    """A family at its own size; ``needed``: bytes of free memory."""

    spec: ModelSpec
    metadata: dict[str, str]
    needed: float


FULL = {
    "SD2.1 v": Case(full_sd2_spec(torch.float16), {"modelspec.prediction_type": "v"}, 8e9),
    "SDXL": Case(full_sdxl_spec(), {}, 13e9),
}
SMALL = {"SD1": Case(sd1_spec(width=768), {}, 1e9)}  # shows in every run that the two roads below do the same
CASES = SMALL | FULL


@pytest.fixture(scope="module", params=[pytest.param(n, marks=[pytest.mark.slow] * (n in FULL)) for n in CASES])
def answers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Answers]]:
    """Ours and theirs of one file."""
    case, folder = CASES[request.param], tmp_path_factory.mktemp("full")
    if psutil.virtual_memory().available < case.needed:
        pytest.skip(f"needs {case.needed / 1e9:.0f} GB of free memory")
    path = folder / "models" / "model.safetensors"
    path.parent.mkdir()
    write_ldm(path, case.spec, metadata=case.metadata)
    yield [ours(path), theirs(path, case.spec, write_configs(folder / "configs", case.spec))]
    shutil.rmtree(folder)


def ours(path: Path) -> Answers:
    """The policy lets each network in when it is asked, and the one before it out."""
    engine = Engine(path.parent, "cpu", "float32", Memory(policy="swapped"))
    model = engine.model("model")
    chunks = [tuple(tokenize(text, load_tokenizer())) for text in (REQUEST.prompt, REQUEST.negative_prompt)]
    texts = [encode_chunks(model, text, 1, "Original") for text in chunks]
    latents = engine.generate(REQUEST).latents[0]
    [[unet]] = denoise([Denoise(model, (row(model, start(REQUEST)[0] * 2.5, 2.5, texts[0]),))])
    return Answers([text.context for text in texts], [text.pooled for text in texts], unet, latents)


def theirs(path: Path, spec: ModelSpec, configs: Path) -> Answers:
    """diffusers' own texts by its own tokenizer, then its own latents."""
    texts = their_texts(path, spec, configs)
    gc.collect()
    prediction = "v_prediction" if spec.prediction == "v" else "epsilon"
    scheduler = on("EulerDiscreteScheduler", torch.tensor(REQUEST.sigmas), prediction_type=prediction)
    absent = dict.fromkeys(name for name in TEXT_PARTS if (configs / name).exists())
    pipeline = from_single_file(path, spec, configs, scheduler=scheduler, torch_dtype=torch.float32, **absent)
    unet = network(pipeline, spec, start(REQUEST) * 2.5, 2.5, texts[0])
    latents = drawn(pipeline, spec, REQUEST, *texts)
    return Answers([text.context for text in texts], [text.pooled for text in texts], unet, latents)


TEXT_PARTS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")


@torch.no_grad()
def their_texts(path: Path, spec: ModelSpec, configs: Path) -> list[Encoded]:
    """Of prompt and negative prompt."""
    pipeline = from_single_file(path, spec, configs, unet=None, vae=None, torch_dtype=torch.float32)
    encoded = pipeline.encode_prompt(
        prompt=REQUEST.prompt,
        negative_prompt=REQUEST.negative_prompt,
        device=torch.device("cpu"),
        num_images_per_prompt=1,
        do_classifier_free_guidance=True,
    )
    pooled = encoded[2:] if spec.family == "sdxl" else (None, None)
    return [Encoded(c[0], p[0] if p is not None else None) for c, p in zip(encoded[:2], pooled, strict=True)]


def test_everything_equals_diffusers(answers: list[Answers]) -> None:
    mine, their = answers
    pairs = {"prompt": 0, "negative prompt": 1}
    found = {f"vectors of the {name}": distance(mine.contexts[i], their.contexts[i]) for name, i in pairs.items()}
    for name, index in pairs.items():
        left, right = mine.pooled[index], their.pooled[index]
        assert (left is None) is (right is None)
        if left is not None and right is not None:
            found[f"pooled {name}"] = distance(left, right)
    found |= {"one U-Net call": distance(mine.unet, their.unet), "latents": distance(mine.latents, their.latents)}
    print({name: f"{value:.1e}" for name, value in found.items()})
    assert max(found.values()) < 1e-3
