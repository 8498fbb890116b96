"""CLIP's tokenizer (arXiv:2103.00020): lower-case byte-level BPE with 49,408 tokens, its vocabulary shipped as data."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import tokenizers

_END_OF_WORD = "</w>"
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")
_WORD = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Tokenizer:
    """Text to token ids and back.  Knows nothing of chunks, weights or the beginning and end of a text."""

    BOS = 49406
    EOS = 49407
    COMMA = 267
    SIZE = 49408

    def __init__(self, model: tokenizers.Tokenizer) -> None:
        self._model = model

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without BOS and EOS.  Any text has ids: what is not a known word goes byte by byte."""
        ids: list[int] = self._model.encode(text, add_special_tokens=False).ids
        return ids

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The vocabulary's spelling of each id: ``"cat</w>"`` ends a word, bytes above 127 are spelt as GPT-2 does."""
        return [self._model.id_to_token(id) or "" for id in ids]

    def save(self, folder: Path) -> None:
        """Write vocab.json and merges.txt into a folder, as transformers reads them."""
        self._model.model.save(str(folder))

    def pieces(self, text: str) -> list[tuple[int, str]]:
        """The id of each token and the part of the text it adds: "" for all but the first of one character's bytes."""
        encoding = self._model.encode(text, add_special_tokens=False)
        pieces = []
        done = 0
        for id, (begin, end) in zip(encoding.ids, encoding.offsets, strict=True):
            pieces.append((id, text[max(begin, done) : end]))
            done = end
        return pieces

    def ends_word(self, id: int) -> bool:
        """Whether a word ends with this token."""
        return str(self._model.id_to_token(id)).endswith(_END_OF_WORD)


@cache
def load() -> Tokenizer:
    """CLIP's tokenizer, read once a process."""
    from tokenizers import Regex, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Model
    from tokenizers.models import BPE

    merges = _merges()
    model = Model(BPE(_vocabulary(merges), merges, end_of_word_suffix=_END_OF_WORD, unk_token=_SPECIAL[1]))
    model.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    model.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    model.add_special_tokens(list(_SPECIAL))
    return Tokenizer(model)


def _vocabulary(merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    alphabet = _alphabet()
    words = [*alphabet, *(letter + _END_OF_WORD for letter in alphabet), *(a + b for a, b in merges), *_SPECIAL]
    return {word: id for id, word in enumerate(words)}


def _merges() -> list[tuple[str, str]]:
    data = gzip.decompress((files(__package__) / "merges.txt.gz").read_bytes())
    merges = []
    for line in data.decode().splitlines():
        left, right = line.split(" ")
        merges.append((left, right))
    return merges


def _alphabet() -> list[str]:
    """A printable character for each byte, in the order of CLIP's ids: those that are printable in Latin-1 stand for
    themselves and come first; the others take the characters from U+0100 on, in order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(others)]
