"""500 prompts drawn by the engine and judged, and probes of what prompts' other parts do; a JSON for the card."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .artist import Artist
from .autoencoder import psnr
from .judge import HELD_OUT, accuracy
from .latents import load_vae
from .progress import load_state, mean
from .questions import AT, a, exam_questions, marks, one_question
from .settings import Settings
from .text import answers
from .world.styles import FLAWS
from .world.subjects import Subject, subjects

GOALS = {"subject": 85, "background": 90, "pair": 60, "count": 60, "tint": 60}  # percent
NEGATIVE = "worst quality, low quality, blurry"
PROBED = (0, 1, 2, 8, 10, 11, 19, 24, 27, 34)  # subjects: cat, dog, girl, speedboat, ...


def hold_exam(settings: Settings) -> None:
    world, artist = subjects(settings.world.subjects), Artist(settings)
    asked = exam_questions(world)
    pictures = artist.draw([artist.request(question.prompt, seed) for seed, question in enumerate(asked)])
    true = torch.tensor([answers(question.scene, len(world)) for question in asked])
    report = {
        "model": str(load_state(settings.paths.state / "unet.pt")["counters"][1].item()) + " pictures seen",  # type: ignore
        "judge's own accuracy": accuracy(settings),
        "autoencoder PSNR dB": round(psnr(settings, load_vae(settings).state_dict(), 128), 2),
        "right, percent": marks(asked, artist.said(pictures), true),
        "probes": Probes(artist, world).all(),
    }
    path = settings.paths.state / "exam.json"
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False), "utf-8")
    print(path.read_text("utf-8"))


@dataclass(frozen=True)
class Probes:
    """What prompts' other parts do: negative prompts, emphasis, guidance, seeds."""

    artist: Artist
    world: tuple[Subject, ...]

    def all(self) -> dict[str, object]:
        cats = self.artist.draw([self.artist.request("a cat on the grass", seed) for seed in (1, 2)])
        return {
            "judged clean, CFG 1.5, without and with a negative prompt": self.cleaned(self._photos(12), 1.5),
            "judged clean, asked for spoilt, without and with": self.cleaned(self._spoilt(12), 6.0),
            "redness of (red:0.5), (red:1.0), (red:1.5) ball": [self.redness(weight) for weight in (0.5, 1.0, 1.5)],
            "pairs and tints right at CFG 1, 3, 7": [self.adherence(cfg) for cfg in (1.0, 3.0, 7.0)],
            "mean difference of two seeds, of 255": round(float(np.abs(cats[0].astype(float) - cats[1]).mean()), 1),
        }

    def cleaned(self, prompts: list[str], cfg: float) -> list[float]:
        return [self._clean(prompts, negative, cfg) for negative in ("", NEGATIVE)]

    def _clean(self, prompts: list[str], negative: str, cfg: float) -> float:
        requests = [self.artist.request(prompt, seed, negative, cfg) for seed, prompt in enumerate(prompts)]
        said = self.artist.said(self.artist.draw(requests))
        return _percent(said[:, AT["flaw"]] == 0)

    def _photos(self, each: int) -> list[str]:
        return [f"a photo of {a(self.world[i].english[0])}" for i in PROBED for _ in range(each)]

    def _spoilt(self, each: int) -> list[str]:
        """Prompts that ask, in their last word, for the flaws of training's worse pictures."""
        flaws = [FLAWS[flaw][0][0] for flaw in FLAWS]
        return [f"{a(self.world[i].english[0])}, {flaws[n % len(flaws)]}" for i in PROBED for n in range(each)]

    def redness(self, weight: float) -> float:
        requests = [self.artist.request(f"a (red:{weight}) ball on a white background", seed) for seed in range(6)]
        return round(mean([redness(picture) for picture in self.artist.draw(requests)]), 2)

    def adherence(self, cfg: float) -> float:
        """Percent of the hardest questions, not those of the exam, answered right at this scale."""
        rng = np.random.default_rng([HELD_OUT, 4])
        asked = [one_question(kind, rng, self.world) for kind in ("pair", "tint") for _ in range(40)]
        requests = [self.artist.request(question.prompt, seed, cfg=cfg) for seed, question in enumerate(asked)]
        said = self.artist.said(self.artist.draw(requests))
        true = torch.tensor([answers(question.scene, len(self.world)) for question in asked])
        found = marks(asked, said, true)
        return round((found["pair"] + found["tint"]) / 2, 1)


def _percent(right: Tensor) -> float:
    return round(100 * right.float().mean().item(), 1)


def redness(picture: NDArray[np.uint8]) -> float:
    """How much red stands above the other channels, mean over the picture."""
    pixels = picture.astype(float)
    return float((pixels[..., 0] - pixels[..., 1:].mean(-1)).mean())
