"""Winograd convolution against torch's direct one in float64.

Tolerances are relative L2 of rounding: float32 5e-6, bfloat16 1.5e-2 (measured 1e-6 and 7e-3).
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from inkwash.runtime.winograd import convolve, transformed

TOLERANCES = {torch.float32: 5e-6, torch.bfloat16: 1.5e-2}


def distance(left: Tensor, right: Tensor) -> float:
    return float((left.double() - right).norm() / right.norm())


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("padding", [(1, 1), (0, 0), (1, 0)], ids=str)
@pytest.mark.parametrize("size", [(8, 8), (7, 8), (8, 7), (9, 11), (3, 3), (60, 44)], ids=str)
def test_equals_a_direct_convolution(size: tuple[int, int], padding: tuple[int, int], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 6, *size, generator=generator).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(5, 6, 3, 3, generator=generator).to(dtype)
    bias = torch.randn(5, generator=generator).to(dtype)
    result = convolve(x, transformed(weight), bias, padding)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=padding)
    assert result.shape == expected.shape
    assert result.dtype == dtype
    assert distance(result, expected) < TOLERANCES[dtype]


def test_is_exact_in_whole_numbers() -> None:
    """With kernels that are multiples of 4, G's halves lose nothing: equality, not closeness."""
    x = torch.arange(2 * 3 * 10 * 10.0).view(2, 3, 10, 10) % 17
    weight = 4 * (torch.arange(4 * 3 * 9.0).view(4, 3, 3, 3) % 5)
    assert torch.equal(convolve(x, transformed(weight), None, (1, 1)), F.conv2d(x, weight, padding=1))


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_a_row_is_the_same_bits_alone_and_in_company(dtype: torch.dtype) -> None:
    x, weight = torch.randn(5, 32, 12, 12).to(dtype), transformed(torch.randn(24, 32, 3, 3).to(dtype))
    together = convolve(x, weight, None, (1, 1))
    for row in range(5):
        assert torch.equal(convolve(x[row : row + 1], weight, None, (1, 1))[0], together[row])
