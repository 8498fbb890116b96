"""How strongly each block of the U-Net takes part in a merge: the numbers of "merge block weighted"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from inkwash.checkpoint.keys import LDM_UNET
from inkwash.core.errors import InvalidRequest

_BLOCK = re.compile(re.escape(LDM_UNET) + r"(input_blocks|middle_block|output_blocks)\.(\d+)\.")


@dataclass(frozen=True)
class Blocks:
    """inputs: IN00, IN01, ...; outputs: OUT00, ...; base: of text encoders and VAE."""

    base: float
    inputs: tuple[float, ...]
    middle: float
    outputs: tuple[float, ...]

    def weight(self, key: str) -> float:
        """Of one weight by its LDM name.  The time's embedding counts to IN00, the last layers to the last OUT."""
        if found := _BLOCK.match(key):
            kind, number = found[1], int(found[2])
            return self.middle if kind == "middle_block" else getattr(self, f"{kind[:-7]}s")[number]
        if key.startswith((f"{LDM_UNET}time_embed.", f"{LDM_UNET}label_emb.")):
            return self.inputs[0]
        return self.outputs[-1] if key.startswith(f"{LDM_UNET}out.") else self.base

    @property
    def numbers(self) -> tuple[float, ...]:
        """Base first, as SuperMerger writes them."""
        return (self.base, *self.inputs, self.middle, *self.outputs)


def parse_blocks(text: str, keys: Iterable[str], base: float) -> Blocks:
    """From "0,0.1,...": IN00 to the last, M00, OUT00 to the last; one number more: the base in front.

    keys: LDM names, which tell how many blocks there are (12, 1, 12 in Stable Diffusion 1 and 2; 9, 1, 9 in XL).
    """
    inputs, outputs = _count("input_blocks", keys := list(keys)), _count("output_blocks", keys)
    try:
        numbers = [float(number) for number in text.replace("\n", ",").split(",") if number.strip()]
    except ValueError:
        raise InvalidRequest(
            f"blocks holds something that is no number: {text[:80]!r}.", _remedy(inputs, outputs)
        ) from None
    expected = inputs + 1 + outputs
    if len(numbers) == expected + 1:
        base, *numbers = numbers
    if len(numbers) != expected or not all(abs(number) <= 10 for number in (base, *numbers)):
        message = f"blocks has {len(numbers)} numbers; this model needs {expected}, each between -10 and 10."
        raise InvalidRequest(message, _remedy(inputs, outputs))
    return Blocks(base, tuple(numbers[:inputs]), numbers[inputs], tuple(numbers[inputs + 1 :]))


def _count(kind: str, keys: list[str]) -> int:
    found = {int(match[2]) for key in keys if (match := _BLOCK.match(key)) and match[1] == kind}
    return max(found, default=-1) + 1


def _remedy(inputs: int, outputs: int) -> str:
    return (
        f"Give IN00-IN{inputs - 1:02}, M00, OUT00-OUT{outputs - 1:02}, separated by commas; a base may stand in front."
    )
