"""What was used last stays at hand, as much of it as fits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shelf(Generic[K, V]):
    """Values by key with their sizes in bytes: at most ``most`` of them, together at most ``budget`` bytes.

    One larger than the budget stands alone.  Room is made before a value exists, so that the old and the new never are
    in memory together unless both fit.  Not for several threads at once.
    """

    def __init__(self, most: int, budget: int) -> None:
        self.most = most
        self.budget = budget
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()  # least recently used first

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        """The value, which counts as used now; None if it is not there."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def make_room(self, size: int, free: int) -> None:
        """Let go of values, the least recently used first, until one more of ``size`` bytes fits.

        free: bytes that the machine can still give, which may be less than the budget leaves.
        """
        budget = min(self.budget, self._used() + free)
        while self._values and (len(self) >= self.most or self._used() + size > budget):
            self._values.popitem(last=False)

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value for which ``make_room`` was asked."""
        self._values[key] = value, size

    def drop(self, key: K) -> None:
        """Let go of one."""
        self._values.pop(key, None)

    def clear(self) -> None:
        """Let go of everything."""
        self._values.clear()

    def _used(self) -> int:
        return sum(size for _, size in self._values.values())
