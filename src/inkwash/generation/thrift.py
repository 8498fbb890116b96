"""What is done when memory runs out: the same with less at a time, and a word about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.tiled_vae import smaller
from inkwash.runtime.memory import out_of_memory

Note = Callable[[str], None]
"""Takes a sentence for the person."""

TILED = "Memory ran out in the autoencoder; it went on in smaller tiles, which takes longer."
SPLIT = "Memory is short: prompt and negative prompt went through the U-Net one after the other."


def silent(sentence: str) -> None:
    """A ``Note`` that nobody reads."""


def autoencoded(
    model: StableDiffusion, pixels: int, work: Callable[[StableDiffusion], Tensor], note: Note
) -> Tensor:  # fmt: skip
    """``work(model)``; whenever memory runs out again with smaller tiles, while there are any.

    pixels: of the picture.
    """
    while True:
        done, error = _tried(lambda: work(model))  # noqa: B023 - called at once
        if done is not None:
            return done
        tiles = smaller(model.tiles_for(pixels))
        if tiles is None:
            raise error or AssertionError
        note(TILED)
        model = dataclasses.replace(model, tiles=tiles)


def by_rows(call: Callable[[slice], Tensor], rows: slice, note: Note, most: int) -> Sequence[Tensor]:
    """``call(rows)``; its halves one after the other when they are more than ``most`` or memory runs out."""
    count = rows.stop - rows.start
    done, error = _tried(lambda: call(rows)) if count <= most else (None, None)
    if done is not None:
        return list(done)
    if count == 1:
        raise error or AssertionError
    note(SPLIT)
    middle = (rows.start + rows.stop) // 2
    halves = slice(rows.start, middle), slice(middle, rows.stop)
    return [answer for half in halves for answer in by_rows(call, half, note, most)]


def _tried(call: Callable[[], Tensor]) -> tuple[Tensor | None, Exception | None]:
    """The value, or the error that says that memory ran out, without the frames that hold the memory."""
    try:
        return call(), None
    except Exception as error:
        if not out_of_memory(error):
            raise
        failed = error.with_traceback(None)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None, failed
