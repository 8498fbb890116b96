"""Captions as the 77 token ids a text encoder reads."""

from __future__ import annotations

import torch
from torch import Tensor

from inkwash.prompt.tokenizer import Tokenizer, load

START, END = Tokenizer.BOS, Tokenizer.EOS
LENGTH = 77


class Tokens:
    """CLIP's tokenizer; ``words`` are all whole words of Latin letters in its vocabulary."""

    def __init__(self) -> None:
        self._tokenizer = load()
        spellings = self._tokenizer.tokens(range(Tokenizer.SIZE - 2))
        ends = (spelling.removesuffix("</w>") for spelling in spellings if spelling.endswith("</w>"))
        self.words = [word for word in ends if word.isascii() and word.isalpha() and len(word) > 2]

    def ids(self, captions: list[str]) -> Tensor:
        """(B, 77) int64: start, at most 75 tokens, end, and the end token again up to 77 as Stable Diffusion pads."""
        rows = [[START, *self._tokenizer.encode(caption)[: LENGTH - 2], END] for caption in captions]
        return torch.tensor([row + [END] * (LENGTH - len(row)) for row in rows])
