"""A Brownian path that depends on its seed alone, not on where or in which order it is asked.

A virtual dyadic tree: the increment over the whole range is drawn from the seed, then intervals are halved (Brownian
bridge) with a seed for each node, until the asked time is reached on a grid of 1e-6.  Seeds, grid and formulas are
those of ``torchsde.BrownianTree``, so the same seed gives the same path as every program that uses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

Draw = Callable[[int], Tensor]  # node seed -> standard normal tensor, float32

_DIGITS = 6  # times are rounded to 1e-6
_POOL = 24  # SeedSequence's entropy pool, in 32-bit words
_REMEMBERED = 4  # a sampler asks for neighbouring intervals: (a, b), (b, c), ...


class BrownianTree:
    """W(t) for start <= t <= end, W(start) = 0; times outside are moved to the nearer end."""

    def __init__(self, start: float, end: float, seed: int, draw: Draw) -> None:
        self._start = round(start, _DIGITS)
        self._end = round(end, _DIGITS)
        self._seed = seed
        self._draw = draw
        root = np.random.SeedSequence(seed, pool_size=_POOL).generate_state(3)[0]
        self._whole = draw(int(root)) * math.sqrt(end - start)
        self._path: dict[float, Tensor] = {}

    def increment(self, t0: float, t1: float) -> Tensor:
        """W(t1) - W(t0); t1 may be the smaller."""
        return self._at(t1) - self._at(t0)

    def _at(self, t: float) -> Tensor:
        t = min(max(round(t, _DIGITS), self._start), self._end)
        if t not in self._path:
            while len(self._path) >= _REMEMBERED:
                self._path.pop(next(iter(self._path)))
            self._path[t] = self._descend(t)
        return self._path[t]

    def _descend(self, t: float) -> Tensor:
        start, end, increment = self._start, self._end, self._whole
        index = depth = 0
        path = self._whole * 0
        while start < t < end:
            middle = round(0.5 * (end + start), _DIGITS)
            left = self._left_half(start, middle, end, increment, (index, depth))
            if t < middle:
                end, increment, index = middle, left, 2 * index
            else:
                start, increment, index, path = middle, increment - left, 2 * index + 1, path + left
            depth += 1
        return path + increment if t == end and t != start else path

    def _left_half(self, start: float, middle: float, end: float, increment: Tensor, node: tuple[int, int]) -> Tensor:
        """The increment over [start, middle] given the one over [start, end]: a Brownian bridge."""
        seed = np.random.SeedSequence(self._seed, spawn_key=node, pool_size=_POOL).generate_state(4)[0]
        left, right, scale = middle - start, end - middle, 1 / (end - start)
        return increment * (left * scale) + self._draw(int(seed)) * math.sqrt(left * right * scale)
