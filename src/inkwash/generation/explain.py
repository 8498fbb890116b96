"""One drawing taken apart for a learner: tokens, noise levels, every step's pictures, where each word acts.

The result is a set of named files: "trace", JSON that names the others, and WebP and PNG pictures.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inkwash.core import images
from inkwash.core.progress import Drawn, Event, Progress, Started, Step
from inkwash.core.request import GenerateRequest
from inkwash.diffusion.noise import PictureNoise
from inkwash.generation.pictures import as_image
from inkwash.generation.preview import learn
from inkwash.generation.run import Decode, Encode, Run
from inkwash.generation.session import Session, Work
from inkwash.models.observed import Sight, observed
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.prompt import load_tokenizer, parse_compositions, parse_networks, schedule, token_view
from inkwash.prompt.chunks import Token

LENGTH = 77
"""Vectors of one chunk."""

PATIENCE = 1.0
"""Seconds a step's picture may take the VAE; above that it is guessed."""


class Keep(Protocol):
    """Takes a finished file: name, media type, bytes."""

    def __call__(self, name: str, media: str, data: bytes, /) -> None: ...


def drawing(
    session: Session, request: GenerateRequest, cfgs: Sequence[float], tell: Progress, keep: Keep
) -> Work:  # fmt: skip
    """Draw one picture under observation, then the same seed at other CFG values.

    Each picture is a batch, so that they come one after another.
    """
    request = dataclasses.replace(request, batch_size=1, batch_count=1, strict=True)
    notes = Notes(keep, tell, request)
    main = session.work(request, notes, notes.look)
    others = [
        session.work(dataclasses.replace(main.request, cfg_scale=cfg), CfgNotes(notes, number, cfg))
        for number, cfg in enumerate(cfgs)
    ]

    def finish(values: list[Any]) -> Sequence[str]:
        notes.write_trace()
        return main.warnings

    batches = (batch for work in (main, *others) for batch in work.batches)
    return Work(main.request, batches, finish, strict=True, warnings=main.warnings)


@dataclass
class Notes:
    """The ``Progress`` of the observed drawing: keeps its pictures and writes down what the trace says of them."""

    keep: Keep
    tell: Progress
    request: GenerateRequest
    sigmas: tuple[float, ...] = ()
    steps: list[dict[str, Any]] = field(default_factory=list)
    maps: list[Tensor] = field(default_factory=list)  # (tokens, h, w), one a step
    cfg: list[dict[str, Any]] = field(default_factory=list)

    def look(self, model: StableDiffusion) -> StableDiffusion:
        """The observed view of the model."""
        height, width = (
            (side or model.spec.native_size) // model.latent_factor
            for side in (self.request.height, self.request.width)
        )  # fmt: skip
        self.tokens = token_view(first_wording(self.request.prompt), load_tokenizer(), self.request.emphasis)
        self.chunks = max((token.chunk for token in self.tokens), default=0) + 1
        self.sight = Sight(height, width, LENGTH * self.chunks)
        self.model, self.known = model, learn(model)
        return observed(model, self.sight)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Drawn):
            self.keep("picture", "image/png", images.encode(event.picture, event.infotext))
            return  # the explanation goes on; ``tell`` would take it for a picture of the gallery
        self.tell(event)
        if isinstance(event, Started):
            self.sigmas = event.sigmas
        elif isinstance(event, Step):
            self._step(event)

    def write_trace(self) -> None:
        """The last file, which names the others."""
        schedule = self.model.noise_schedule
        trace = {
            "tokens": [{"text": token.text, "index": _index(token), "weight": token.weight} for token in self.tokens],
            "chunks": self.chunks,
            "sigmas": self.sigmas,
            "timesteps": [schedule.t(sigma) if sigma > 0 else 0.0 for sigma in self.sigmas],
            "steps": self.steps,
            "picture": "picture",
            "attention": self._attention(),
            "cfg": self.cfg,
        }
        self.keep("trace", "application/json", json.dumps(trace, ensure_ascii=False).encode())

    def _step(self, step: Step) -> None:
        noisy = step.x / math.sqrt(1 + step.sigma**2)  # of unit variance again, as the model is shown it
        quick = self.known.decode_seconds(step.denoised) <= PATIENCE
        pictures = {
            f"noisy-{step.step}": self.known.guess(noisy, Image.Resampling.NEAREST),
            f"denoised-{step.step}": step.preview() if quick else self.known.guess(step.denoised),
        }
        for name, picture in pictures.items():
            self.keep(name, "image/webp", images.encode(picture, format="webp", quality=80))
        names = dict(zip(("noisy", "denoised"), pictures, strict=True))
        t = self.model.noise_schedule.t(step.sigma)
        self.steps.append({"step": step.step, "sigma": step.sigma, "t": t, **names})
        seen = self.sight.take()
        if seen is not None:
            self.maps.append(seen)

    def _attention(self) -> list[dict[str, Any]]:
        """A map a word, averaged over the steps, and a sheet of its maps of every step, one below the other."""
        if not self.maps:
            return []
        maps, size = torch.stack(self.maps), self.model.latent_factor
        told = []
        for number, word in enumerate(words_of(self.tokens)):
            own = maps[:, list(word.indexes)].mean(dim=1)  # (steps, h, w)
            mean = own.mean(dim=0)
            large = as_grey(mean / mean.max())
            large = large.resize((large.width * size, large.height * size), Image.Resampling.BICUBIC)
            self.keep(f"word-{number}", "image/webp", images.encode(large, format="webp", quality=80))
            self.keep(f"word-{number}-steps", "image/png", images.encode(as_grey(own.flatten(0, 1) / own.max())))
            told.append(
                {
                    "word": word.text,
                    "token_indexes": word.indexes,
                    "map": f"word-{number}",
                    "sheet": f"word-{number}-steps",
                    "share": float(own.mean()),
                }
            )
        return told


@dataclass(frozen=True)
class CfgNotes:
    """The ``Progress`` of the same seed at another CFG value."""

    notes: Notes
    number: int
    cfg: float

    def __call__(self, event: Event) -> None:
        if isinstance(event, Drawn):
            name = f"cfg-{self.number}"
            self.notes.keep(name, "image/png", images.encode(event.picture, event.infotext))
            self.notes.cfg.append({"cfg": self.cfg, "picture": name})


@dataclass(frozen=True)
class Word:
    """Tokens that people read as one word.  indexes: their places in the context, 77 a chunk."""

    text: str
    indexes: tuple[int, ...]


def first_wording(prompt: str) -> str:
    """What the text encoder reads at the first step of the first part of an AND; network tags are taken out."""
    clean, _ = parse_networks(prompt)
    wording, _ = parse_compositions(clean)[0]
    return schedule(wording, 1)[0][1]


def words_of(tokens: Sequence[Token]) -> list[Word]:
    """Tokens up to the end of a word, joined; punctuation is no word."""
    words, open_ = list[Word](), False
    for token in tokens:
        if open_:
            words[-1] = Word(words[-1].text + token.text, (*words[-1].indexes, _index(token)))
        else:
            words.append(Word(token.text.strip(), (_index(token),)))
        open_ = not load_tokenizer().ends_word(token.id)
    return [word for word in words if any(character.isalnum() for character in word.text)]


def _index(token: Token) -> int:
    return token.chunk * LENGTH + token.position


def as_grey(values: Tensor) -> Image.Image:
    """(h, w) in 0..1 -> a grey picture."""
    return Image.fromarray(np.ascontiguousarray((values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()))


def noising(
    session: Session, request: GenerateRequest, picture: Image.Image, ts: Sequence[float], seed: int, keep: Keep
) -> Work:  # fmt: skip
    """Noise of the model's own schedule added to a picture at some timesteps, 0..999.  request: names the model."""
    model = session.model(request.model, request.vae)
    picture = fitted(picture, model.spec.native_size)
    request = dataclasses.replace(request, width=picture.width, height=picture.height)
    run = noised(model, picture, ts, seed, keep)
    return Work(request, iter([[run]]), lambda values: (), strict=True)


def noised(model: StableDiffusion, picture: Image.Image, ts: Sequence[float], seed: int, keep: Keep) -> Run[None]:
    """x_t = sqrt(a) x_0 + sqrt(1 - a) noise, arXiv:2006.11239 equation 4, in the latents' space."""
    pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255
    latents: Tensor = yield Encode(model, pixels)
    channels, height, width = latents.shape
    noise = PictureNoise((channels, height, width), seed, device=model.device).initial()
    told = []
    for number, t in enumerate(ts):
        sigma = model.noise_schedule.sigma(t)
        x = (latents + sigma * noise) / math.sqrt(1 + sigma**2)
        shown: Tensor = yield Decode(model, x)
        keep(f"noised-{number}", "image/webp", images.encode(as_image(shown), format="webp", quality=85))
        told.append({"t": t, "sigma": sigma, "picture": f"noised-{number}"})
    keep("trace", "application/json", json.dumps({"noised": told}).encode())


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """At most ``side`` pixels a side, in the same proportions, both sides multiples of 8."""
    scale = min(1.0, side / max(picture.size))
    width, height = (max(8, round(length * scale / 8) * 8) for length in picture.size)
    return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
