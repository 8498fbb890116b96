"""Wildcards: ``__name__`` becomes a random line of wildcards/name.txt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from random import Random

from inkwash.core.errors import DamagedFile, InvalidRequest

DEPTH = 10  # lines may hold wildcards in turn, this many levels deep
LENGTH = 100_000  # characters of the expanded prompt

_WILDCARD = re.compile(r"__(\S+?)__")


def find_wildcards(folder: Path) -> dict[str, Path]:
    """The wildcards of a folder by name: colour.txt is "colour", hair/long.txt is "hair/long"; none without a folder.

    Links that lead out of the folder are left out, so that a prompt cannot read other files.
    """
    root = folder.resolve()
    paths = sorted(path for path in root.rglob("*.txt") if path.is_file() and path.resolve().is_relative_to(root))
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in paths}


def expand_wildcards(text: str, seed: int, files: Mapping[str, Path]) -> str:
    """The text with each ``__name__`` replaced by a random line of that file; the same seed, the same lines.

    Empty lines and lines that begin with # do not count.  Where no files are given, the text stays as typed.  Raises
    InvalidRequest for an unknown name, a file without lines, wildcards that name each other in a circle and texts
    beyond 100,000 characters; DamagedFile for a file that is not UTF-8.
    """
    if not files:
        return text
    random = Random(seed)
    known: dict[str, list[str]] = {}
    for _ in range(DEPTH):
        if not _WILDCARD.search(text):
            return text
        text = _expand_once(text, random, files, known)
    if match := _WILDCARD.search(text):
        raise InvalidRequest(
            f"The wildcard {match[0]} is still there after {DEPTH} rounds: files name each other in a circle.",
            "Take it out of one of the files that it leads to.",
        )
    return text


def _expand_once(text: str, random: Random, files: Mapping[str, Path], known: dict[str, list[str]]) -> str:
    parts = []
    room = max(LENGTH, len(text))
    end = 0
    for match in _WILDCARD.finditer(text):
        name = match[1]
        if name not in known:
            known[name] = _lines(name, files)
        line = random.choice(known[name])
        room -= len(line)
        if room < 0:
            raise InvalidRequest(
                f"The wildcards of the prompt grow beyond {LENGTH:,} characters.", "Use fewer of them."
            )
        parts += [text[end : match.start()], line]
        end = match.end()
    return "".join([*parts, text[end:]])


def _lines(name: str, files: Mapping[str, Path]) -> list[str]:
    path = files.get(name)
    if path is None:
        near = get_close_matches(name[:80], files, n=3, cutoff=0.4)
        remedy = f"Did you mean {' or '.join(f'__{match}__' for match in near)}?" if near else "Make such a file."
        raise InvalidRequest(f"There is no wildcard file {name}.txt.", remedy)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise DamagedFile(f"{path} is not UTF-8 text.", "Save it again with the encoding UTF-8.") from error
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise InvalidRequest(f"The wildcard file {path} has no lines to choose from.", "Add some, one choice a line.")
    return lines
