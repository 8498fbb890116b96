"""The recipe's optimizer against PyTorch's own (for matrices) and AdamW (for the rest)."""

import pytest
import torch
from recipes.box.muon import Muon, hidden_matrices, orthogonal


@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_orthogonal_is_near_the_polar_factor(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(matrix)
    singular = torch.linalg.svdvals(found)
    assert 0.6 < singular.min() < singular.max() < 1.25  # what the quintic promises
    assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), dim=0) > 0.97


def test_matrices_move_as_under_pytorchs_muon() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(24, 40)) for _ in range(2))
    settings = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1}
    mine = Muon([{"params": [ours]}], betas=(0.9, 0.99), **settings)
    peer = torch.optim.Muon([theirs], nesterov=True, adjust_lr_fn="match_rms_adamw", **settings)
    for _ in range(4):
        ours.grad = torch.randn(24, 40)
        theirs.grad = ours.grad.clone()
        mine.step()
        peer.step()
    # both round to bfloat16, in another order
    assert (ours - theirs).norm() < 0.02 * (theirs - 1).norm()


def test_the_rest_moves_as_under_adamw() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(7)) for _ in range(2))
    mine = Muon([{"params": [ours], "adam": True}], 0.02, momentum=0.9, betas=(0.9, 0.99), weight_decay=0.1)
    peer = torch.optim.AdamW([theirs], lr=0.02, betas=(0.9, 0.99), weight_decay=0.1)
    for _ in range(4):
        ours.grad = torch.randn(7)
        theirs.grad = ours.grad.clone()
        mine.step()
        peer.step()
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_convolutions_are_matrices_and_what_is_named_is_not() -> None:
    module = torch.nn.ModuleDict({"conv_in": torch.nn.Conv2d(4, 8, 3), "conv": torch.nn.Conv2d(8, 8, 3)})
    matrices, others = hidden_matrices(module, but=("conv_in",))
    assert [tuple(m.shape) for m in matrices] == [(8, 8, 3, 3)]
    assert len(others) == 3  # conv_in's weight and both biases
