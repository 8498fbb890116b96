"""How two text encoders share a prompt: paddings, emphasis, chunks and clip skip, as in A1111."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
import torch
from tests.support.checkpoints import sdxl_spec, write_ldm

from inkwash.core.request import Emphasis, GenerateRequest
from inkwash.generation.engine import Engine
from inkwash.generation.run import Encoded
from inkwash.generation.text import encode_chunks, padded
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.prompt import load_tokenizer, tokenize

SPEC = sdxl_spec((64, 64), (0, 1))
FIRST = SPEC.texts[0].width


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder: Path = tmp_path_factory.mktemp("xl")
    write_ldm(folder / "xl.safetensors", SPEC)
    return Engine(folder, "cpu", "float32")


@pytest.fixture(scope="module")
def model(engine: Engine) -> StableDiffusion:
    return engine.model("xl")


def encode(model: StableDiffusion, text: str, emphasis: Emphasis = "Original", clip_skip: int = 1) -> Encoded:
    return encode_chunks(model, tuple(tokenize(text, load_tokenizer(), emphasis)), clip_skip, emphasis)


def pooled(text: Encoded) -> torch.Tensor:
    assert text.pooled is not None
    return text.pooled


def test_each_encoder_is_padded_as_it_was_trained() -> None:
    [chunk] = tokenize("a cat", load_tokenizer())
    assert padded(chunk, 49407).tolist() == list(chunk.ids)
    assert padded(chunk, 0).tolist() == [*chunk.ids[:4], *[0] * 73]


def test_emphasis_restores_the_mean_of_each_encoder_by_itself(model: StableDiffusion) -> None:
    plain, strong = encode(model, "a cat").context, encode(model, "a (cat:1.5)").context
    raw = encode(model, "a (cat:1.5)", "No norm").context
    for part in (slice(FIRST), slice(FIRST, None)):
        assert strong[:, part].mean().item() == pytest.approx(plain[:, part].mean().item(), rel=1e-4)
        assert torch.allclose(raw[2, part], plain[2, part] * 1.5)


def test_emphasis_and_later_chunks_leave_the_pooled_text_alone(model: StableDiffusion) -> None:
    plain = encode(model, "a cat")
    assert torch.equal(pooled(encode(model, "a (cat:1.5)")), pooled(plain))
    assert torch.equal(pooled(encode(model, "a cat BREAK a dog")), pooled(plain))
    assert not torch.equal(pooled(encode(model, "a dog BREAK a cat")), pooled(plain))


def test_clip_skip_changes_nothing(model: StableDiffusion) -> None:
    assert torch.equal(encode(model, "a cat", clip_skip=2).context, encode(model, "a cat").context)


def test_a_picture_never_depends_on_its_batch(engine: Engine) -> None:
    request = GenerateRequest(prompt="a [cat:dog:2] AND ink", seed=3, steps=3, width=64, height=64, model="xl")
    together = engine.generate(dataclasses.replace(request, batch_size=3)).images
    alone = [engine.generate(dataclasses.replace(request, seed=3 + i)).images[0] for i in range(3)]
    digests = [[hashlib.sha256(image.tobytes()).hexdigest() for image in images] for images in (together, alone)]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 3
