"""What is said about a scene: English sentences, tags, Chinese sentences, the emoji themselves, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from .backgrounds import BACKGROUNDS, COLOURS
from .scene import Figure, Scene
from .styles import FLAWS, ON_PAPER, STYLES
from .subjects import Subject
from .words import (
    BAD,
    BAD_CHINESE,
    BAD_COMPANY,
    GOOD,
    GOOD_CHINESE,
    NEUTRAL,
    NEUTRAL_CHINESE,
    OPENINGS,
    OPENINGS_CHINESE,
)

Item = TypeVar("Item")
PLACES = {
    "left": (("on the left", "on the left side", "at left"), ("左边", "左侧")),
    "right": (("on the right", "on the right side", "at right"), ("右边", "右侧")),
    "above": (("at the top", "in the upper part", "high up"), ("上方", "上面")),
    "below": (("at the bottom", "in the lower part", "low down"), ("下方", "下面")),
}
SIZES = {
    "small": (("small", "tiny", "little"), ("很小的", "小小的")),
    "big": (("big", "huge", "large"), ("很大的", "巨大的")),
}
CLOSE, CLOSE_CHINESE = ("close-up", "closeup", "detail", "zoomed in"), ("特写", "局部", "细节")
NUMBERS = {2: (("two", "2", "a pair of"), "两"), 3: (("three", "3"), "三")}
MEASURES = ("个", "只", "个", "")


class Speaker:
    """Draws captions; ``words`` are any words at all, mixed in so that unknown ones come to mean nothing."""

    def __init__(self, world: tuple[Subject, ...], words: Sequence[str], rng: np.random.Generator) -> None:
        self.world = world
        self.words = words
        self.rng = rng

    def caption(self, scene: Scene) -> str:
        """One of many true captions; empty for one scene in ten."""
        kind = self.rng.random()
        if kind < 0.1:
            return ""
        if kind < 0.45:
            return self._sentence(scene)
        if kind < 0.7:
            return self._tags(scene)
        if kind < 0.94:
            return self._chinese(scene)
        return self._emoji(scene)

    def pick(self, items: Sequence[Item]) -> Item:
        return items[int(self.rng.random() * len(items))]

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _sentence(self, scene: Scene) -> str:
        words = [self._things(scene)]
        style = STYLES[scene.style][0]
        if style:
            words.insert(0, self.pick(style))
        elif self.chance(0.4):
            words.insert(0, self.pick(OPENINGS))
        if place := self._place(scene):
            words.append(place)
        if self._tells_background(scene):
            words.append(self.pick(BACKGROUNDS[scene.background].english))
        return self._with_tags(" ".join(words), scene)

    def _things(self, scene: Scene) -> str:
        first, last = scene.figures[0], scene.figures[-1]
        if scene.kind == "count":
            return f"{self.pick(NUMBERS[len(scene.figures)][0])} {self._noun(first, plural=True)}"
        if scene.kind == "one":
            return self._article(self._noun(first, size=scene.size))
        one, other = self._article(self._noun(first)), self._article(self._noun(last))
        joins = {"left": ("to the left of", "on the left of"), "above": ("above", "on top of", "over")}[scene.place]
        back = {"left": ("to the right of",), "above": ("below", "under")}[scene.place]
        style = self.rng.random()
        if style < 0.35:
            return f"{one} {self.pick(joins)} {other}"
        if style < 0.45:
            return f"{other} {self.pick(back)} {one}"
        if self.chance(0.3):
            one, other = other, one
        return f"{one} {self.pick(('and', 'and', 'with', 'next to', 'together with'))} {other}"

    def _noun(self, figure: Figure, size: str = "", plural: bool = False) -> str:
        subject = self.world[figure.subject]
        usual = plural or figure.tint or self.chance(0.6)
        name = subject.plural if plural else subject.english[0] if usual else self.pick(subject.english)
        colour = f"{figure.tint} " if figure.tint else ""
        big = f"{self.pick(SIZES[size][0])} " if size in SIZES and self.chance(0.85) else ""
        return f"{big}{colour}{name}"

    def _article(self, noun: str) -> str:
        article = "an" if noun[0] in "aeio" else "a"
        return self.pick((f"{article} {noun}", f"{article} {noun}", f"{article} {noun}", f"the {noun}", noun))

    def _place(self, scene: Scene) -> str:
        told = scene.kind == "one" and scene.place in PLACES and scene.zoom == 1 and self.chance(0.9)
        return self.pick(PLACES[scene.place][0]) if told else ""

    def _tells_background(self, scene: Scene) -> bool:
        """White is what most untold backgrounds are."""
        return self.chance(0.15 if scene.style in ON_PAPER else 0.5 if scene.background == "white" else 0.9)

    def _tags(self, scene: Scene) -> str:
        """Tags in random order but for the subject, which mostly comes first."""
        if scene.kind == "count":
            number = len(scene.figures)
            subject = self._noun(scene.figures[0], plural=True)
            head = [self.pick((f"{number}{subject}", f"{number} {subject}", f"{NUMBERS[number][0][0]} {subject}"))]
        elif scene.kind == "pair":
            head = [self._noun(scene.figures[0]), self._noun(scene.figures[-1])]
        else:
            head = [self._noun(scene.figures[0], size=scene.size)]
        rest = []
        if STYLES[scene.style][1]:
            rest.append(self.pick(STYLES[scene.style][1]))
        if place := self._place(scene):
            rest.append(place)
        if self._tells_background(scene):
            rest.append(self.pick(BACKGROUNDS[scene.background].tags))
        self.rng.shuffle(rest)
        at = 0 if self.chance(0.7) else int(self.rng.integers(len(rest) + 1))
        return self._with_tags(self.pick((", ", ", ", ",")).join(rest[:at] + head + rest[at:]), scene)

    def _with_tags(self, text: str, scene: Scene) -> str:
        """Quality words that are true, and words that mean nothing, before or after."""
        extra = self._quality(scene) + self._close(scene, CLOSE)
        if self.chance(0.35):
            extra += [self.pick(NEUTRAL) for _ in range(self.rng.integers(1, 5))]
        if self.chance(0.2):
            extra += [self.pick(self.words) for _ in range(self.rng.integers(1, 6))]
        if not extra:
            return text + self.pick(("", "", "."))
        if self.chance(0.5):
            self.rng.shuffle(extra)
        comma = self.pick((", ", ", ", ",", ",\n"))
        if self.chance(0.25):
            return comma.join([*extra, text])
        return comma.join([text, *extra]) + self.pick(("", "", ","))

    def _close(self, scene: Scene, words: Sequence[str]) -> list[str]:
        return [self.pick(words)] if scene.zoom > 1 and self.chance(0.75) else []

    def _quality(self, scene: Scene) -> list[str]:
        if not scene.flaw:
            return [self.pick(GOOD) for _ in range(self.rng.integers(1, 7))] if self.chance(0.4) else []
        words = [self.pick(FLAWS[scene.flaw][0])] if self.chance(0.8) else []
        words += [self.pick(BAD) for _ in range(self.rng.integers(0 if words else 1, 4))]
        if self.chance(0.5):
            words += [self.pick(BAD_COMPANY) for _ in range(self.rng.integers(1, 9))]
        return words

    def _chinese(self, scene: Scene) -> str:
        style = STYLES[scene.style][2]
        behind = self.pick(BACKGROUNDS[scene.background].chinese) if self._tells_background(scene) else ""
        told = scene.kind == "one" and scene.place in PLACES and scene.zoom == 1 and self.chance(0.9)
        things = self._things_chinese(scene)
        if told:
            place = self.pick(PLACES[scene.place][1])
            things = self.pick(("画面{0}有{1}", "{1}在{0}", "{1},{0}")).format(place, things)
        forms = ("{0}{1}", "{1},{0}", "{1}在{0}", "{0}的{1}") if not behind.endswith("背景") else ("{1},{0}", "{0},{1}")
        text = self.pick(forms).format(behind, things) if behind else things
        if style:
            text = self.pick(("{0},{1}", "{1},{0}", "{0}:{1}")).format(self.pick(style), text)
        elif self.chance(0.35):
            text = self.pick(OPENINGS_CHINESE) + text
        extra = [self.pick(NEUTRAL_CHINESE) for _ in range(self.rng.integers(1, 3))] if self.chance(0.25) else []
        extra += self._close(scene, CLOSE_CHINESE)
        if scene.flaw:
            extra += [self.pick(FLAWS[scene.flaw][1]), self.pick(BAD_CHINESE)]
        elif self.chance(0.3):
            extra += [self.pick(GOOD_CHINESE) for _ in range(self.rng.integers(1, 4))]
        comma = self.pick((",", "，", ", "))
        return comma.join([text, *extra]).replace(",", self.pick((",", "，"))) + self.pick(("", "", "。"))

    def _things_chinese(self, scene: Scene) -> str:
        first, last = scene.figures[0], scene.figures[-1]
        measure = self.pick(MEASURES)
        if scene.kind == "count":
            return f"{NUMBERS[len(scene.figures)][1]}{measure or '个'}{self._noun_chinese(first)}"
        one = f"{'一' + measure if measure else ''}{self._noun_chinese(first, scene.size)}"
        if scene.kind == "one":
            return one
        other = f"{'一' + measure if measure else ''}{self._noun_chinese(last)}"
        where, back = {"left": ("左边", "右边"), "above": ("上面", "下面")}[scene.place]
        placed = (f"{one}在{other}的{where}", f"{other}在{one}的{back}")
        return self.pick((f"{one}和{other}", f"{other}和{one}", f"{one}跟{other}", *placed))

    def _noun_chinese(self, figure: Figure, size: str = "") -> str:
        names = self.world[figure.subject].chinese
        name = names[0] if figure.tint or self.chance(0.6) else self.pick(names)
        colour = COLOURS[figure.tint][1] + self.pick(("的", "的", "")) if figure.tint else ""
        big = self.pick(SIZES[size][1]) if size in SIZES and self.chance(0.85) else ""
        return f"{big}{colour}{name}"

    def _emoji(self, scene: Scene) -> str:
        """The glyphs themselves, with the colour and the background in words."""
        glyphs = "".join(
            (f"{figure.tint} " if figure.tint else "") + self.world[figure.subject].glyph
            for figure in (scene.figures[:1] if scene.kind == "count" and self.chance(0.3) else scene.figures)
        )
        if scene.kind == "count" and glyphs.count(glyphs[0]) == 1:
            glyphs = f"{len(scene.figures)} {glyphs}"
        parts = [glyphs] + ([self.pick(STYLES[scene.style][1])] if STYLES[scene.style][1] else [])
        if place := self._place(scene):
            parts.append(place)
        if self._tells_background(scene):
            background = BACKGROUNDS[scene.background]
            parts.append(self.pick(background.tags + background.chinese))
        return self._with_tags(self.pick((" ", ", ")).join(parts), scene)
