"""A script's arguments: by place, as clients send them; those left out are the script's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from inkwash.core.errors import InvalidRequest

UPSCALERS = ("upscalers",)
"""Stands for the names of those there are."""


@dataclass(frozen=True)
class Argument:
    """As A1111's page shows it."""

    label: str
    value: JsonValue
    choices: tuple[str, ...] | None = None
    low: float | None = None
    high: float | None = None
    step: float | None = None

    def told(self, upscalers: Sequence[str]) -> dict[str, Any]:
        choices = upscalers if self.choices == UPSCALERS else self.choices
        return {
            "label": self.label, "value": self.value, "minimum": self.low, "maximum": self.high, "step": self.step,
            "choices": None if choices is None else list(choices),
        }  # fmt: skip


@dataclass(frozen=True)
class Arguments:
    """What a client sent for them.  Every method raises InvalidRequest naming the argument."""

    known: Sequence[Argument]
    sent: Sequence[JsonValue]
    upscalers: Sequence[str] = ()  # in the order that indexes count

    def value(self, place: int) -> JsonValue:
        sent = self.sent[place] if place < len(self.sent) else None
        return self.known[place].value if sent is None else sent

    def flag(self, place: int) -> bool:
        value = self.value(place)
        if not isinstance(value, bool | int):
            raise self._wrong(place, "true or false")
        return bool(value)

    def number(self, place: int) -> float:
        """Within the argument's bounds."""
        value, known = self.value(place), self.known[place]
        low, high = known.low or 0, 1e9 if known.high is None else known.high
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self._wrong(place, f"a number from {low:g} to {high:g}")
        return float(value)

    def whole(self, place: int) -> int:
        number = self.number(place)
        if not number.is_integer():
            raise self._wrong(place, "a whole number")
        return int(number)

    def choice(self, place: int) -> str:
        """In the argument's own spelling."""
        value, choices = self.value(place), self.known[place].choices or ()
        found = next((one for one in choices if isinstance(value, str) and one.casefold() == value.casefold()), None)
        if found is None:
            raise self._wrong(place, f"one of {', '.join(choices)}")
        return found

    def _wrong(self, place: int, wanted: str) -> InvalidRequest:
        label, value = self.known[place].label, str(self.value(place))[:60]
        return InvalidRequest(f"script_args[{place}] ({label}) is {value!r}.", f"It must be {wanted}.", "script_args")
