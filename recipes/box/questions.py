"""What the exam asks: prompts whose combinations never occurred in training, and what the right answers are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .judge import HELD_OUT, QUESTIONS
from .progress import mean
from .world.backgrounds import BACKGROUNDS
from .world.captions import NUMBERS
from .world.scene import Scene, combinations, draw_scene, held_out
from .world.styles import STYLES
from .world.subjects import Subject

PORTIONS = {"background": 130, "chinese": 130, "tint": 70, "pair": 70, "count": 60, "style": 40}
AT = {name: index for index, name in enumerate(QUESTIONS)}


@dataclass(frozen=True)
class Question:
    kind: str
    prompt: str
    scene: Scene


def exam_questions(world: tuple[Subject, ...]) -> list[Question]:
    """Clean scenes of each kind whose combination was held out, asked for in one plain form."""
    rng = np.random.default_rng([HELD_OUT, 3])
    return [one_question(kind, rng, world) for kind, count in PORTIONS.items() for _ in range(count)]


def one_question(kind: str, rng: np.random.Generator, world: tuple[Subject, ...]) -> Question:
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
        return f"{a(first.english[0])} and {a(last.english[0])}{place}"
    if kind == "count":
        return f"{NUMBERS[len(scene.figures)][0][0]} {first.plural}{place}"
    style = STYLES[scene.style][0][0] + " " if kind == "style" else ""
    return style + a(" ".join(filter(None, (scene.figures[0].tint, first.english[0])))) + place


def a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


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
