"""500 prompts whose combinations never occurred in training, drawn by the engine and judged; a JSON and a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inkwash.core.request import GenerateRequest
from inkwash.generation.engine import Engine

from .autoencoder import psnr
from .judge import HELD_OUT, QUESTIONS, accuracy, load_judge
from .latents import load_vae
from .progress import device, load_state, mean, to_pixels
from .settings import Settings
from .text import answers
from .world.backgrounds import BACKGROUNDS
from .world.captions import NUMBERS
from .world.scene import Scene, combinations, draw_scene, held_out
from .world.styles import STYLES
from .world.subjects import Subject, subjects

PORTIONS = {"background": 130, "chinese": 130, "tint": 70, "pair": 70, "count": 60, "style": 40}
GOALS = {"subject": 85, "background": 90, "pair": 60, "count": 60, "tint": 60}  # percent
AT = {name: index for index, name in enumerate(QUESTIONS)}


@dataclass(frozen=True)
class Question:
    kind: str
    prompt: str
    scene: Scene


def exam_questions(world: tuple[Subject, ...]) -> list[Question]:
    """Clean scenes of each kind whose combination was held out, asked for in one plain form."""
    rng = np.random.default_rng([HELD_OUT, 2])
    return [_question(kind, rng, world) for kind, count in PORTIONS.items() for _ in range(count)]


def _question(kind: str, rng: np.random.Generator, world: tuple[Subject, ...]) -> Question:
    mark = {"background": "", "chinese": "", "pair": "with "}.get(kind, kind + " ")
    while True:
        scene = draw_scene(rng, world, clean=1.0)
        if scene.place in ("centre", "left") and scene.size == "middle" and _of_kind(kind, scene):
            others = [other for subject, other in combinations(scene) if held_out(subject, other)]
            if any(other.startswith(mark) for other in others):
                return Question(kind, _prompt(kind, scene, world), scene)


def _of_kind(kind: str, scene: Scene) -> bool:
    """Whether the scene shows what is examined and nothing else remarkable."""
    tinted = any(figure.tint for figure in scene.figures)
    if (scene.style != "plain") != (kind == "style") or tinted != (kind == "tint"):
        return False
    return scene.kind == (kind if kind in ("pair", "count") else "one")


def _prompt(kind: str, scene: Scene, world: tuple[Subject, ...]) -> str:
    first, last = (world[figure.subject] for figure in (scene.figures[0], scene.figures[-1]))
    background = BACKGROUNDS[scene.background]
    if kind == "chinese":
        return f"{background.chinese[0]}，一个{first.chinese[0]}"
    place = "" if scene.style != "plain" else " " + background.english[0]
    if kind == "pair":
        return f"{_a(first.english[0])} and {_a(last.english[0])}{place}"
    if kind == "count":
        return f"{NUMBERS[len(scene.figures)][0][0]} {first.plural}{place}"
    style = STYLES[scene.style][0][0] + " " if kind == "style" else ""
    return style + _a(" ".join(filter(None, (scene.figures[0].tint, first.english[0])))) + place


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


class Artist:
    """Draws prompts through the engine as any user does, and has them judged."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.engine, self.judge = settings, Engine(), load_judge(settings)

    def request(
        self, prompt: str, seed: int, negative: str = "", cfg: float | None = None, side: int | None = None
    ) -> GenerateRequest:
        own, side = self.settings.judge, side or self.settings.world.side
        return GenerateRequest(
            prompt=prompt, negative_prompt=negative, seed=seed, steps=own.steps, sampler=own.sampler, width=side,
            height=side, cfg_scale=own.cfg_scale if cfg is None else cfg, model=str(self.settings.paths.model),
        )  # fmt: skip

    def draw(self, requests: Sequence[GenerateRequest]) -> list[NDArray[np.uint8]]:
        """Side by side, which changes none of them."""
        return [np.asarray(result.images[0].convert("RGB")) for result in self.engine.generate_all(requests)]

    def said(self, pictures: list[NDArray[np.uint8]]) -> Tensor:
        """The judge's answers, (pictures, questions)."""
        return self.judge.say(to_pixels(torch.from_numpy(np.stack(pictures))).to(device())).cpu()


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
        "probes": probes(artist),
    }
    path = settings.paths.state / "exam.json"
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False), "utf-8")
    print(path.read_text("utf-8"))


def marks(asked: list[Question], said: Tensor, true: Tensor) -> dict[str, float]:
    """Percent of right answers of each kind."""
    kinds = np.array([question.kind for question in asked])

    def share(kind: list[str], right: Callable[[Tensor, Tensor], bool]) -> float:
        rows = [i for i, k in enumerate(kinds) if k in kind]
        return round(100 * mean([float(right(said[i], true[i])) for i in rows]), 1)

    def same(*names: str) -> Callable[[Tensor, Tensor], bool]:
        return lambda answer, truth: all(answer[AT[n]] == truth[AT[n]] for n in names)

    def both(answer: Tensor, truth: Tensor) -> bool:
        return set(answer[:2].tolist()) == set(truth[:2].tolist())

    single = ["background", "chinese", "tint", "style"]
    return {
        "subject": share(single, same("subject")),
        "subject, English": share(["background"], same("subject")),
        "subject, Chinese": share(["chinese"], same("subject")),
        "background": share(["background", "chinese", "tint", "pair", "count"], same("background")),
        "pair": share(["pair"], both),
        "count": share(["count"], same("count")),
        "count and subject": share(["count"], same("count", "subject")),
        "tint": share(["tint"], same("tint")),
        "style": share(["style"], same("style")),
    }


def probes(artist: Artist) -> dict[str, object]:
    """What prompts' other parts do: negative prompts, emphasis, guidance, seeds, twice the size."""
    world = subjects(artist.settings.world.subjects)
    names = [world[i].english[0] for i in (0, 1, 2, 8, 10, 11, 19, 24, 27, 34)]
    plain = [f"a photo of {_a(name)}" for name in names for _ in range(4)]
    bad = "worst quality, low quality, blurry"
    wide = artist.settings.world.side * 2

    def drawn(prompts: list[str], negative: str = "", cfg: float | None = None, side: int | None = None) -> Tensor:
        requests = [artist.request(p, seed, negative, cfg, side) for seed, p in enumerate(prompts)]
        return artist.said(artist.draw(requests))

    def clean(said: Tensor) -> float:
        return round(100 * (said[:, AT["flaw"]] == 0).float().mean().item(), 1)

    def balls(weight: float) -> list[GenerateRequest]:
        return [artist.request(f"a (red:{weight}) ball on a white background", seed) for seed in range(6)]

    true = torch.tensor([(0, 1, 2, 8, 10, 11, 19, 24, 27, 34)[i // 4] for i in range(len(plain))])
    by_cfg = {cfg: drawn(plain, cfg=cfg) for cfg in (1.0, 3.0, 7.0)}
    twice = drawn(plain, side=wide)
    cats = artist.draw([artist.request("a cat on the grass", seed) for seed in (1, 2)])
    return {
        "judged clean without negative": clean(drawn(plain)),
        "judged clean with negative": clean(drawn(plain, negative=bad)),
        "redness of (red:0.5), (red:1.0), (red:1.5) ball": [
            round(mean([redness(picture) for picture in artist.draw(balls(weight))]), 2) for weight in (0.5, 1.0, 1.5)
        ],
        "subject right at CFG 1, 3, 7": [
            round(100 * (said[:, 0] == true).float().mean().item(), 1) for said in by_cfg.values()
        ],
        "mean difference of two seeds, of 255": round(float(np.abs(cats[0].astype(float) - cats[1]).mean()), 1),
        "figures counted at twice the side": dict(Counter(twice[:, AT["count"]].tolist())),
        "one figure at native side": round(100 * (by_cfg[7.0][:, AT["count"]] == 1).float().mean().item(), 1),
    }


def redness(picture: NDArray[np.uint8]) -> float:
    """How much red stands above the other channels, mean over the picture."""
    pixels = picture.astype(float)
    return float((pixels[..., 0] - pixels[..., 1:].mean(-1)).mean())
