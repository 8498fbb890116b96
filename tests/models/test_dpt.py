"""Our DPT-hybrid against transformers' on the same random weights: the table of names is complete, the depths equal."""

from __future__ import annotations

import pytest
import torch
from tests.support.depth import dpt_reference, midas_state, theirs
from torch import Tensor

from inkwash.models.dpt import DPT, DPTSpec
from inkwash.models.dpt_names import transformers_names


def distance(left: Tensor, right: Tensor) -> float:
    return float((left - right).norm() / right.norm())


def test_names_and_shapes_are_those_of_transformers() -> None:
    reference = dpt_reference()
    state = midas_state(reference)
    ours = DPT(DPTSpec.of({name: tuple(tensor.shape) for name, tensor in state.items()}))
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == {
        name: tensor.shape for name, tensor in state.items()
    }
    used = {theirs for names in transformers_names(state).values() for theirs in names}
    assert used == {name for name in reference.state_dict() if not name.startswith("dpt.layernorm.")}  # no one reads it


@pytest.mark.parametrize("size", [(64, 64), (32, 96)], ids=["the table's own size", "another"])
def test_depths_equal_transformers(size: tuple[int, int]) -> None:
    reference = dpt_reference()
    state = midas_state(reference)
    ours = DPT(DPTSpec.of({name: tuple(tensor.shape) for name, tensor in state.items()})).eval()
    ours.load_state_dict(state)
    picture = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(3)) * 2 - 1
    expected = theirs(reference, picture)
    with torch.no_grad():
        found = ours(picture)
    assert found.shape == (2, *size)
    assert found.std() > 0.01
    assert distance(found, expected) < 1e-5


def test_the_published_networks_sizes() -> None:
    """123 million parameters, as its paper says."""
    from transformers import DPTConfig, DPTForDepthEstimation

    with torch.device("meta"):
        reference = DPTForDepthEstimation(
            DPTConfig(is_hybrid=True, neck_hidden_sizes=[256, 512, 768, 768], reassemble_factors=[1, 1, 1, 0.5])
        )
        state = midas_state(reference)
        spec = DPTSpec.of({name: tuple(tensor.shape) for name, tensor in state.items()})
        ours = DPT(spec)
    assert spec == DPTSpec(768, 12, 3072, 24, 64, ((3, 64, 256), (4, 128, 512), (9, 256, 1024)), (768, 768), 256)
    assert spec.hooks == (8, 11)
    assert sum(tensor.numel() for tensor in ours.parameters()) == pytest.approx(123e6, rel=0.01)
