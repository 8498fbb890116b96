"""The NVIDIA generator against published test vectors and A1111's documented numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inkwash.diffusion import philox
from inkwash.diffusion.philox import Philox


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        # Random123's known answers for philox4x32-10 (first two of four words)
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D)),
        ((0xFFFFFFFF,) * 4, 0xFFFFFFFFFFFFFFFF, (0x408F276D, 0x41C83B0E)),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), 0x299F31D0A4093822, (0xD16CFE09, 0x94FDCCEB)),
    ],
)
def test_known_answers(counter, key, expected):
    words = [np.array([word], dtype=np.uint64) for word in counter]
    first, second = philox._philox(words, key)
    assert (int(first[0]), int(second[0])) == expected


def test_a1111s_example():
    """The numbers A1111 documents for seed 0, shape (3, 4)."""
    expected = [
        [-0.92466259, -0.42534415, -2.6438457, 0.14518388],
        [-0.12086647, -0.57972564, -0.62285122, -0.32838709],
        [-1.07454231, -0.36314407, -1.67105067, 2.26550497],
    ]
    numbers = Philox(0).normal((3, 4))
    assert numbers.dtype == torch.float32
    torch.testing.assert_close(numbers, torch.tensor(expected), rtol=1e-6, atol=1e-7)


def test_draws_continue_and_are_normal():
    generator = Philox(2**40 + 7)
    first, second = generator.normal((4, 64, 64)), generator.normal((4, 64, 64))
    assert not torch.equal(first, second)
    assert torch.equal(first, Philox(2**40 + 7).normal((4, 64, 64)))
    assert not torch.equal(first, Philox(7).normal((4, 64, 64)))  # the upper half of the seed counts
    both = torch.stack([first, second])
    assert float(both.mean()) == pytest.approx(0, abs=0.02)
    assert float(both.std()) == pytest.approx(1, abs=0.02)
    assert abs(float((first * second).mean())) < 0.03
