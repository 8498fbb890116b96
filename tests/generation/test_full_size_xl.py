"""SDXL base at its own size, in float32, against transformers' and diffusers' classes, one network at a time.

3.47 billion parameters are stored as float16 and computed in float32.  Never more than one U-Net is in memory, 10.3 GB;
texts, pooled texts and latents after a step must agree within a relative L2 of 1e-3.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from tests.support.checkpoints import full_sdxl_spec, random_weights, reference_network, write_ldm
from tests.support.pipelines import on
from torch import Tensor, nn

from inkwash.checkpoint import ModelSpec, detect, model_weights
from inkwash.checkpoint import open as open_source
from inkwash.diffusion import SAMPLERS, STABLE_DIFFUSION
from inkwash.diffusion.guidance import Guidance
from inkwash.diffusion.noise import PictureNoise
from inkwash.generation.conditioning import TextSettings
from inkwash.generation.loop import denoise
from inkwash.generation.run import Denoise, Encoded, EncodeText
from inkwash.generation.tasks import Sampling, Wishes, txt2img
from inkwash.generation.text import encode_chunks
from inkwash.models.load import fill
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.text import TextEncoder
from inkwash.models.unet import UNet
from inkwash.models.vae import VAE
from inkwash.prompt import load_tokenizer
from inkwash.runtime.attention import attention_for
from inkwash.runtime.device import choose

PROMPT, NEGATIVE, SIGMAS, SEED, SIDE, SCALE = "a cute cat, best quality", "blurry", (14.6, 5.0), 3, 64, 5.0
NEEDED = 14e9

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(psutil.virtual_memory().available < NEEDED, reason="needs 14 GB of free memory"),
]


def distance(left: Tensor, right: Tensor) -> float:
    return float((left - right).norm() / right.norm())


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("xl") / "xl.safetensors"
    write_ldm(path, full_sdxl_spec())
    yield path
    path.unlink()


def model_of(path: Path, part: str) -> StableDiffusion:
    """A model of which only the networks whose names begin with ``part`` have weights."""
    spec, compute = detect(path), choose("cpu", "float32")
    with torch.device("meta"):
        attend = attention_for(compute.device)
        texts, unet, vae = [TextEncoder(text) for text in spec.texts], UNet(spec.unet, attend), VAE(spec.vae)
    networks = nn.ModuleDict({"text_encoder": texts[0], "text_encoder_2": texts[1], "unet": unet})
    with open_source(path) as source:
        fill(
            networks, ((name, tensor) for name, tensor in model_weights(source, spec) if name.startswith(part)), compute
        )
    networks.eval().requires_grad_(False)
    dtype = torch.float32
    return StableDiffusion(spec, tuple(texts), unet, vae, STABLE_DIFFUSION, compute.device, dtype, dtype)


def our_texts(path: Path) -> dict[str, Encoded]:
    from inkwash.prompt import tokenize

    model = model_of(path, "text_encoder")
    tokens = {text: tuple(tokenize(text, load_tokenizer())) for text in (PROMPT, NEGATIVE)}
    return {text: encode_chunks(model, chunks, 1, "Original") for text, chunks in tokens.items()}


@torch.no_grad()
def their_texts(spec: ModelSpec) -> dict[str, Encoded]:
    weights, found = random_weights(spec), {}
    encoders = []
    for component in ("text_encoder", "text_encoder_2"):
        network = reference_network(spec, component)
        state = {n.removeprefix(f"{component}."): weights[n].float() for n in weights if n.startswith(f"{component}.")}
        if "embeddings.token_embedding.weight" in network.state_dict():
            state = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
        network.load_state_dict(state)
        encoders.append(network.eval())
    for text in (PROMPT, NEGATIVE):
        ids = load_tokenizer().encode(text)
        padded = [[49406, *ids, 49407, *[padding] * (75 - len(ids))] for padding in (49407, 0)]
        outputs = [
            encoder(torch.tensor([line]), output_hidden_states=True)
            for encoder, line in zip(encoders, padded, strict=True)
        ]
        context = torch.cat([output.hidden_states[-2] for output in outputs], dim=2)[0]
        found[text] = Encoded(context, outputs[1].text_embeds[0])
    return found


def our_latents(path: Path, texts: dict[str, Encoded]) -> Tensor:
    """The task itself, its questions answered by this U-Net and by texts encoded before."""
    model = model_of(path, "unet")
    sampler, sigmas = SAMPLERS["Euler"], torch.tensor(SIGMAS)
    sampling = Sampling(sampler, sigmas, {}, Guidance(scale=SCALE), 1)
    noise = PictureNoise((4, SIDE // 8, SIDE // 8), SEED)
    wishes = Wishes(PROMPT, NEGATIVE, TextSettings(1, "Original"))
    run = txt2img(model, wishes, sampling, noise, lambda *_: None)
    answers = iter((texts[PROMPT], texts[NEGATIVE]))
    question = run.send(None)
    try:
        while True:
            if isinstance(question, EncodeText):
                question = run.send(next(answers))
            else:
                assert isinstance(question, Denoise)
                question = run.send(denoise([question])[0])
    except StopIteration as stop:
        latents: Tensor = stop.value
        return latents


def their_latents(spec: ModelSpec, texts: dict[str, Encoded]) -> Tensor:
    from diffusers import AutoencoderKL, StableDiffusionXLPipeline

    weights = random_weights(spec)
    with torch.device("meta"):
        unet = reference_network(spec, "unet")
    state = {name.removeprefix("unet."): weights[name].float() for name in weights if name.startswith("unet.")}
    unet.load_state_dict(state, assign=True)
    del state
    four: Any = (32, 32, 32, 32)
    pipeline: Any = StableDiffusionXLPipeline(
        vae=AutoencoderKL(
            block_out_channels=four,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        ),
        text_encoder=None,  # type: ignore[arg-type]
        text_encoder_2=None,  # type: ignore[arg-type]
        tokenizer=None,  # type: ignore[arg-type]
        tokenizer_2=None,  # type: ignore[arg-type]
        unet=unet.eval(),
        scheduler=on("EulerDiscreteScheduler", torch.tensor(SIGMAS)),
    )
    prompt, negative = texts[PROMPT], texts[NEGATIVE]
    assert prompt.pooled is not None
    assert negative.pooled is not None
    latents: Tensor = pipeline(
        prompt_embeds=prompt.context[None],
        negative_prompt_embeds=negative.context[None],
        pooled_prompt_embeds=prompt.pooled[None],
        negative_pooled_prompt_embeds=negative.pooled[None],
        latents=torch.randn(1, 4, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(SEED)),
        num_inference_steps=1,
        guidance_scale=SCALE,
        height=SIDE,
        width=SIDE,
        output_type="latent",
    ).images[0]
    return latents


def test_full_size_xl_equals_diffusers(path: Path) -> None:
    spec = full_sdxl_spec()
    mine, their = our_texts(path), their_texts(spec)
    found = {}
    for text in (PROMPT, NEGATIVE):
        left, right = mine[text].pooled, their[text].pooled
        assert left is not None
        assert right is not None
        found[f"context of {text!r}"] = distance(mine[text].context, their[text].context)
        found[f"pooled {text!r}"] = distance(left, right)
    latents = our_latents(path, mine)
    found["latents"] = distance(latents, their_latents(spec, their))
    print(found)
    assert max(found.values()) < 1e-3
