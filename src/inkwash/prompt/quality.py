"""Words that say how good a picture is to be and name nothing in it: what every tile of a large picture may be told."""

from __future__ import annotations

import re

_WORDS = """
masterpiece, best quality, high quality, good quality, amazing quality, very aesthetic, aesthetic, absurdres, highres,
high resolution, hires, 4k, 8k, uhd, hd, sharp, sharp focus, in focus, crisp, clear, extremely clear, detailed,
highly detailed, very detailed, extremely detailed, ultra-detailed, ultra detailed, intricate, intricate details,
fine details, professional, newest, very awa
"""
QUALITY = frozenset(word.strip() for word in _WORDS.split(","))

_WEIGHT = re.compile(r":\s*[\d.]+\s*$")


def quality_words(prompt: str) -> str:
    """Those parts of a prompt, as they stand there, that are words of quality.

    >>> quality_words("a cat, (best quality:1.2), on a hill, 8k")
    '(best quality:1.2), 8k'
    """
    return ", ".join(part for part in _parts(prompt) if _plain(part) in QUALITY)


def names_things(prompt: str) -> bool:
    """Whether a prompt says more than how good the picture is to be.

    >>> names_things("best quality, [8k]"), names_things("a cat")
    (False, True)
    """
    return any(_plain(part) not in QUALITY for part in _parts(prompt))


def _parts(prompt: str) -> list[str]:
    return [part.strip() for part in prompt.replace("\n", ",").split(",") if part.strip()]


def _plain(part: str) -> str:
    return _WEIGHT.sub("", part.strip("()[] ")).strip("()[] ").casefold()
