"""What a task may ask for while it runs.

A task is a ``Run``: a generator that yields one of these questions and is sent the answer.  It never calls a network
itself, so whoever answers (``loop.Loop``) may put the questions of many runs into one call.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from PIL import Image
from torch import Tensor

from inkwash.core.request import Emphasis
from inkwash.core.resizing import Size
from inkwash.diffusion import Prediction
from inkwash.imaging.restoring import Restoring
from inkwash.imaging.upscale import Pieces, Upscaler, pieces
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.prompt import Chunk

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Row:
    """One line of a U-Net call: one picture, at one noise level, under one text."""

    x: Tensor  # (4, h, w) float32, x0 + sigma * eps
    sigma: float
    context: Tensor  # (77 n, D) float32
    concat: Tensor | None = None  # what is seen beside x: (5, h, w) mask and masked picture; (3, h, w) small picture
    added: Tensor | None = None  # (A,) float32: pooled text and sizes, for SDXL
    noise_level: int | None = None  # of the small picture that the x4 upscaler sees


@dataclass(frozen=True, eq=False)
class Beside:
    """What a U-Net sees beside x, the same at every step."""

    concat: Tensor | None = None  # (c, h, w)
    noise_level: int | None = None  # of the x4 upscaler's small picture


@dataclass(frozen=True, eq=False)
class Encoded:
    """A text as the U-Net takes it."""

    context: Tensor  # (77 * number of chunks, D) float32
    pooled: Tensor | None = None  # (P,) float32, of the first chunk, for SDXL
    score: float = 6.0  # how beautiful a refiner is told the picture is; 6 and, for negative prompts, 2.5 as in A1111


@dataclass(frozen=True, eq=False)
class EncodeText:
    """Answer: Encoded."""

    model: StableDiffusion
    chunks: tuple[Chunk, ...]
    clip_skip: int
    emphasis: Emphasis


@dataclass(frozen=True, eq=False)
class Denoise:
    """The rows of one picture at one step.  Answer: the predicted x0 of each row, [(4, h, w)]."""

    model: StableDiffusion
    rows: tuple[Row, ...]


@dataclass(frozen=True, eq=False)
class Together:
    """Parts of one picture at one step, of one shape.  Answer: each part's, [[(4, h, w)]].

    They share calls as pictures do: always where speed counts, where it changes no bit where that counts.
    """

    parts: tuple[Denoise, ...]


@dataclass(frozen=True, eq=False)
class Encode:
    """picture: (3, H, W) in 0..1.  Answer: (4, h, w), the U-Net's latents."""

    model: StableDiffusion
    picture: Tensor


@dataclass(frozen=True, eq=False)
class Decode:
    """latents: (4, h, w), the U-Net's.  Answer: (3, H, W) in 0..1."""

    model: StableDiffusion
    latents: Tensor


@dataclass(frozen=True, eq=False)
class Enlarge:
    """Answer: the picture at exactly ``size`` pixels, by that upscaler.

    tell: called with the share that is done, again and again; what it raises ends the run.
    """

    upscaler: Upscaler
    picture: Image.Image
    size: Size
    tell: Callable[[float], None] | None = None

    def pieces(self, note: Callable[[str], None]) -> Pieces:
        """The answer, piece by piece.  note: takes a sentence for the person."""
        return pieces(self.upscaler, self.picture, self.size)


@dataclass(frozen=True, eq=False)
class RestoreFaces:
    """Answer: the picture with its faces restored, itself where none is found.  tell: as of Enlarge."""

    restoring: Restoring
    picture: Image.Image
    tell: Callable[[float], None] | None = None

    def pieces(self, note: Callable[[str], None]) -> Pieces:
        """The answer, face by face."""
        return self.restoring.pieces(self.picture, note)


Question = EncodeText | Denoise | Together | Encode | Decode | Enlarge | RestoreFaces
Run = Generator[Question, Any, T]

See = Callable[[Tensor, float, Sequence[Encoded]], Run[list[Tensor]]]
"""What a model sees in x, (4, h, w), at sigma under each of these texts: the predicted x0, each (4, h, w)."""

Ask = Callable[[Tensor, float, int], Run[Prediction]]
"""What is seen in x at sigma by the call of that number, whoever looks: a model, two in turn, one behind a mask."""
