"""Our attention against softmax(q k^T / sqrt(d)) v in float64, for the shapes of U-Nets and autoencoders.

Tolerances are relative L2 of rounding: float32 2e-6; bfloat16 8e-3 (PyTorch's own kernel is at 2e-3 to 4e-3 there).
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from inkwash.runtime import attention
from inkwash.runtime.attention import attention_for, chunked, on_cpu, patient, sdpa

TOLERANCES = {torch.float32: 2e-6, torch.bfloat16: 8e-3}
SHAPES = {  # heads, queries, keys, width of a head
    "level 0": (8, 1024, 1024, 40),
    "level 1": (8, 256, 256, 80),
    "level 2": (8, 64, 64, 160),
    "text": (8, 256, 77, 40),
    "three chunks of text": (2, 64, 231, 64),
    "autoencoder": (1, 300, 300, 512),
    "one token": (2, 1, 1, 16),
    "odd everything": (3, 67, 45, 13),
}


def exact(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q.double() @ k.double().transpose(2, 3) / q.shape[3] ** 0.5
    return scores.softmax(dim=-1) @ v.double()


def tensors(shape: tuple[int, int, int, int], dtype: torch.dtype, rows: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """As the networks make them: tokens (B, N, heads * d) seen as (B, heads, N, d)."""
    heads, queries, keys, width = shape
    generator = torch.Generator().manual_seed(queries)
    q, k, v = (
        torch.randn(rows, count, heads * width, generator=generator).to(dtype).unflatten(2, (heads, -1)).transpose(1, 2)
        for count in (queries, keys, keys)
    )
    return q, k, v


def distance(left: Tensor, right: Tensor) -> float:
    return float((left.double() - right).norm() / right.norm())


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("attend", [chunked, on_cpu])
def test_equals_the_formula(attend: attention.Attend, shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    q, k, v = tensors(shape, dtype)
    result = attend(q, k, v)
    assert result.shape == q.shape
    assert result.dtype == dtype
    assert distance(result, exact(q, k, v)) < TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("scores", [1, 7, 100, 2**12, 2**16])
def test_tiles_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, scores: int) -> None:
    """Tiles of one query, of ragged parts of a head, and of several heads."""
    q, k, v = tensors((3, 50, 33, 24), dtype)
    monkeypatch.setattr(attention, "TILE_SCORES", scores)
    assert distance(chunked(q, k, v), exact(q, k, v)) < TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", [SHAPES["level 1"], SHAPES["text"], SHAPES["odd everything"]])
def test_a_row_is_the_same_bits_alone_and_in_company(shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    q, k, v = tensors(shape, dtype, rows=5)
    together = on_cpu(q, k, v)
    for row in range(5):
        part = slice(row, row + 1)
        assert torch.equal(on_cpu(q[part], k[part], v[part])[0], together[row])


def test_keys_of_one_head_are_laid_out_once() -> None:
    """A view's stride over its only head is kept by ``contiguous``; products then copy the whole before each tile."""
    q, k, v = tensors((4, 64, 64, 32), torch.bfloat16)
    for one in (q[0, 1:2], k[0, :2], v[1, 3:]):
        _, length, width = one.shape
        for rows, columns in ((0, 0), (0, 16), (32, 0)):
            padded = attention._padded(one, rows, columns)
            assert padded.stride() == ((length + rows) * (width + columns), width + columns, 1)
            assert torch.equal(padded[:, :length, :width], one)
            assert padded.float().abs().sum() == one.float().abs().sum()


def test_very_unequal_scores_do_not_overflow() -> None:
    """Scores of +-10^4: softmax picks one key, whose value comes out."""
    q, k = torch.full((1, 1, 2, 16), 200.0), torch.full((1, 1, 5, 16), -12.0)
    k[0, 0, 3] = 12.0
    v = torch.arange(5.0)[None, None, :, None].expand(1, 1, 5, 16)
    for dtype in TOLERANCES:
        assert torch.equal(chunked(q.to(dtype), k.to(dtype), v.to(dtype)).float(), torch.full((1, 1, 2, 16), 3.0))


def test_training_goes_through_pytorchs_kernel() -> None:
    q, k, v = (x.detach().requires_grad_() for x in tensors((2, 16, 16, 8), torch.bfloat16))
    on_cpu(q, k, v).float().sum().backward()
    assert q.grad is not None
    assert torch.isfinite(q.grad).all()


def test_each_device_has_its_kernel() -> None:
    assert attention_for(torch.device("cpu")) is on_cpu
    assert attention_for(torch.device("cuda", 1)) is patient
    assert attention_for(torch.device("mps")) is patient


def test_a_kernel_without_memory_for_all_scores_goes_on_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = torch.randn(3, 2, 4, 40, 16).unbind()
    expected = sdpa(q, k, v)

    def fail(*arguments: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("inkwash.runtime.attention.sdpa", fail)
    with torch.inference_mode():
        assert torch.allclose(patient(q, k, v), expected, atol=1e-5)
