"""Normal numbers as an NVIDIA card draws them, computed on the CPU.

The counter-based generator Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) with
curand's arrangement: each element of a tensor is its own subsequence, and each draw of a tensor advances the offset.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
# curand scales 32-bit integers to (0, 1] with constants of single precision.
_TO_UNIT = np.float64(np.float32(2.3283064e-10))
_TO_ANGLE = np.float64(np.float32(2.3283064e-10 * 6.2831855))


class Philox:
    """Draws of one seed, 0 <= seed < 2**64; each call continues where the last one ended."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._offset = 0

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal numbers, float32 on the CPU.

        They are a CUDA ``torch.randn``'s while each thread draws one element: up to 2048 elements a multiprocessor.
        """
        count = math.prod(shape)
        counter = [np.zeros(count, dtype=np.uint64) for _ in range(4)]
        counter[0] += np.uint64(self._offset)
        counter[2] += np.arange(count, dtype=np.uint64)
        self._offset += 1
        first, second = _philox(counter, self._seed)
        return torch.from_numpy(_box_muller(first, second).reshape(shape))


def _philox(counter: list[NDArray[np.uint64]], seed: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The first two of the four 32-bit words each counter gives.  Words are kept in 64 bits, so products fit."""
    c0, c1, c2, c3 = counter
    key0, key1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for _ in range(_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (product1 >> _HALF) ^ c1 ^ np.uint64(key0),
            product1 & _LOW,
            (product0 >> _HALF) ^ c3 ^ np.uint64(key1),
            product0 & _LOW,
        )
        key0, key1 = (key0 + _WEYL[0]) & 0xFFFFFFFF, (key1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1


def _box_muller(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.float32]:
    """The sine branch of the Box-Muller transform, which is the one curand hands out first."""
    radius = np.sqrt(-2.0 * np.log(first * _TO_UNIT + _TO_UNIT / 2))
    return (radius * np.sin(second * _TO_ANGLE + _TO_ANGLE / 2)).astype(np.float32)
