"""A prompt as the text encoder reads it: chunks of 77 token ids with a weight each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from inkwash.core.errors import InvalidRequest
from inkwash.prompt.grammar import BREAK, parse_attention
from inkwash.prompt.tokenizer import Tokenizer

CHUNK = 75  # tokens of text in a chunk, between BOS and EOS
Emphasis = Literal["Original", "No norm", "Ignore", "None"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One call of the text encoder: BOS, ``used`` (0..75) tokens of text, then EOS up to 77.

    ``embeddings``: (index into ids of the first vector, name); the ids of an embedding's places are 0.  The weights
    of BOS and EOS are 1.
    """

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    embeddings: tuple[tuple[int, str], ...]
    used: int


@dataclass(frozen=True, slots=True)
class Token:
    """A token and its place: ``position`` is its index among the 77 ids of chunk number ``chunk`` (from 0).

    ``embedding`` names the embedding it is a vector of, ``vector`` tells which one (from 0).
    """

    text: str  # the part of the prompt it adds; "" for the further bytes of a character or vectors of an embedding
    id: int
    weight: float
    chunk: int
    position: int
    embedding: str | None = None
    vector: int = 0


def tokenize(
    text: str,
    tokenizer: Tokenizer,
    emphasis: Emphasis = "Original",
    comma_backtrack: int = 20,
    embeddings: Mapping[str, int] | None = None,
) -> list[Chunk]:
    """The chunks of one prompt; see ``chunk``.  Emphasis "None" takes brackets and BREAK as text, "Ignore" reads them
    but makes all weights 1; "Original" and "No norm" differ only in what the text encoder does with the weights."""
    return chunk(weigh(text, emphasis), tokenizer, comma_backtrack, embeddings)


def token_view(
    text: str,
    tokenizer: Tokenizer,
    emphasis: Emphasis = "Original",
    comma_backtrack: int = 20,
    embeddings: Mapping[str, int] | None = None,
) -> list[Token]:
    """Every token of one prompt with its place, for people to look at; see ``tokenize``."""
    return place(weigh(text, emphasis), tokenizer, comma_backtrack, embeddings)


def weigh(text: str, emphasis: Emphasis) -> list[tuple[str, float]]:
    """The pieces of a prompt with their weights under an emphasis mode.  Raises InvalidRequest for an unknown mode."""
    if emphasis not in get_args(Emphasis):
        modes = ", ".join(get_args(Emphasis))
        raise InvalidRequest(f"There is no emphasis mode {emphasis!r}.", f"Choose one of: {modes}.")
    if emphasis == "None":
        return [(text, 1.0)]
    pieces = parse_attention(text)
    if emphasis == "Ignore":
        return [piece if piece == BREAK else (piece[0], 1.0) for piece in pieces]
    return pieces


def chunk(
    parsed: Sequence[tuple[str, float]],
    tokenizer: Tokenizer,
    comma_backtrack: int = 20,
    embeddings: Mapping[str, int] | None = None,
) -> list[Chunk]:
    """Lay tokens out in chunks of 75; there is always at least one.

    parsed: what ``parse_attention`` gives; BREAK fills its chunk up.  comma_backtrack: where a chunk is full and its
    last comma is at most this many tokens back, the text after the comma moves on to the next chunk; 0 is off.
    embeddings: name -> number of vectors.  A name is found by its tokens, the longest first; an embedding never
    straddles two chunks.  Raises InvalidRequest for an embedding of more than 75 vectors.
    """
    return [_chunk(slots) for slots in _lay_out(parsed, tokenizer, comma_backtrack, embeddings or {})]


def place(
    parsed: Sequence[tuple[str, float]],
    tokenizer: Tokenizer,
    comma_backtrack: int = 20,
    embeddings: Mapping[str, int] | None = None,
) -> list[Token]:
    """The tokens that ``chunk`` lays out, each with its place."""
    laid_out = _lay_out(parsed, tokenizer, comma_backtrack, embeddings or {})
    return [
        Token(slot.text, slot.id, slot.weight, number, position, slot.embedding, slot.vector)
        for number, slots in enumerate(laid_out)
        for position, slot in enumerate(slots, start=1)
    ]


class _Slot(NamedTuple):
    text: str
    id: int
    weight: float
    embedding: str | None = None
    vector: int = 0


@dataclass(frozen=True, slots=True)
class _Embedding:
    name: str
    ids: tuple[int, ...]
    vectors: int


def _chunk(slots: Sequence[_Slot]) -> Chunk:
    end = CHUNK + 1 - len(slots)
    return Chunk(
        ids=(Tokenizer.BOS, *(slot.id for slot in slots), *[Tokenizer.EOS] * end),
        weights=(1.0, *(slot.weight for slot in slots), *[1.0] * end),
        embeddings=tuple((i, s.embedding) for i, s in enumerate(slots, start=1) if s.embedding and s.vector == 0),
        used=len(slots),
    )


def _lay_out(
    parsed: Sequence[tuple[str, float]], tokenizer: Tokenizer, comma_backtrack: int, embeddings: Mapping[str, int]
) -> list[list[_Slot]]:
    known = _by_first_id(embeddings, tokenizer)
    chunks: list[list[_Slot]] = [[]]
    comma = -1  # where the last comma of the last chunk stands
    for text, weight in parsed:
        if (text, weight) == BREAK:
            chunks.append([])
            comma = -1
            continue
        for slots in _words(tokenizer.pieces(text), weight, known):
            full = len(chunks[-1]) == CHUNK
            if slots[0].id == Tokenizer.COMMA:
                comma = len(chunks[-1])
            elif full and comma >= 0 and CHUNK - comma <= comma_backtrack:
                chunks.append(chunks[-1][comma + 1 :])
                del chunks[-2][comma + 1 :]
                comma = -1
            if len(chunks[-1]) + len(slots) > CHUNK:
                chunks.append([])
                comma = -1
            chunks[-1] += slots
    if len(chunks) > 1 and not chunks[-1]:
        chunks.pop()  # a BREAK with nothing after it
    return chunks


def _words(
    pieces: Sequence[tuple[int, str]], weight: float, known: Mapping[int, Sequence[_Embedding]]
) -> Iterator[list[_Slot]]:
    """What must stay together: each token by itself, an embedding's vectors as one."""
    ids = [id for id, _ in pieces]
    position = 0
    while position < len(ids):
        id, text = pieces[position]
        for found in known.get(id, ()):
            if tuple(ids[position : position + len(found.ids)]) == found.ids:
                texts = [found.name] + [""] * (found.vectors - 1)
                yield [_Slot(texts[i], 0, weight, found.name, i) for i in range(found.vectors)]
                position += len(found.ids)
                break
        else:
            yield [_Slot(text, id, weight)]
            position += 1


def _by_first_id(embeddings: Mapping[str, int], tokenizer: Tokenizer) -> dict[int, list[_Embedding]]:
    """Embeddings by the first token of their name, those with the longest names first."""
    known: dict[int, list[_Embedding]] = {}
    for name, vectors in embeddings.items():
        if not 1 <= vectors <= CHUNK:
            raise InvalidRequest(
                f"The embedding {name!r} has {vectors} vectors; a prompt has room for 1 to {CHUNK}.",
                "Leave it out of the embeddings folder, or train one with fewer vectors.",
            )
        ids = tuple(tokenizer.encode(name))
        if ids:
            known.setdefault(ids[0], []).append(_Embedding(name, ids, vectors))
    for found in known.values():
        found.sort(key=lambda embedding: len(embedding.ids), reverse=True)
    return known
