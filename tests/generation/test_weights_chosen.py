"""What a request may say of a model's weights: what they predict, and whether the EMA copy is meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.checkpoints import sd1_spec, write_ldm

from inkwash.checkpoint import detect, open
from inkwash.checkpoint.select import pruned
from inkwash.core import infotext
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest
from inkwash.generation.engine import Engine
from inkwash.generation.session import Session

ASKED = {"prompt": "ink", "seed": 3, "steps": 2, "width": 64, "height": 64, "strict": True}


def latents(engine: Engine, **fields: object) -> torch.Tensor:
    return engine.generate(GenerateRequest(**ASKED, **fields)).latents  # type: ignore[arg-type]


def test_a_prediction_goes_over_what_the_file_says(engine: Engine) -> None:
    """ "tiny" and "tiny-v" hold the same weights."""
    plain, velocity = latents(engine, model="tiny"), latents(engine, model="tiny-v")
    assert not torch.allclose(plain, velocity)
    assert torch.equal(latents(engine, model="tiny", prediction="v_prediction"), velocity)
    assert torch.equal(latents(engine, model="tiny-v", prediction="eps"), plain)
    assert torch.equal(latents(engine, model="tiny"), plain), "an override is of one request only"
    with pytest.raises(InvalidRequest, match="no prediction called 'noise'"):
        latents(engine, model="tiny", prediction="noise")


def test_overridden_requests_share_one_view_of_one_model(engine: Engine) -> None:
    request = GenerateRequest(**ASKED, model="tiny", prediction="v_prediction")  # type: ignore[arg-type]
    model = engine.model("tiny")
    one, two = (engine.stock.predicting(model, request) for _ in range(2))
    assert one is two
    assert one.unet is model.unet
    assert (one.spec.prediction, model.spec.prediction) == ("v", "eps")


def test_the_infotext_tells_both_and_reads_back(engine: Engine) -> None:
    request = GenerateRequest(**ASKED, model="tiny", prediction="v_prediction")  # type: ignore[arg-type]
    [text] = engine.generate(request).infotexts
    assert "Prediction: v_prediction" in text
    assert infotext.to_request(infotext.parse(text)).prediction == "v_prediction"
    again = infotext.to_request(infotext.parse("x\nSteps: 1, Sampler: Euler, EMA: True, Size: 64x64, Seed: 1"))
    assert again.ema is True


def test_the_ema_copy_is_drawn_with_as_if_it_had_been_pruned_to(tmp_path: Path) -> None:
    both = tmp_path / "both.safetensors"
    write_ldm(both, sd1_spec(), ema=True)
    tensors = load_file(both)
    shifted = {name: value + 0.01 if name.startswith("model_ema.") else value for name, value in tensors.items()}
    save_file(shifted, both)
    with open(both) as source:
        pruned(source, detect(both), ema=True).write(tmp_path / "averaged.safetensors")
    engine = Engine(tmp_path, "cpu", "float32")
    averaged = latents(engine, model="both", ema=True)
    assert torch.equal(averaged, latents(engine, model="averaged"))
    assert not torch.allclose(averaged, latents(engine, model="both"), atol=1e-3)
    with pytest.raises(InvalidRequest, match="no EMA weights"):
        latents(engine, model="averaged", ema=True)


def test_a_busy_session_takes_only_the_same_weights(engine: Engine) -> None:
    session = Session(engine)
    session.add(GenerateRequest(**ASKED, model="tiny"))  # type: ignore[arg-type]
    assert session.fits("tiny", None)
    assert not session.fits("tiny", None, True)
