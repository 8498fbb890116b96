"""Styles: prompts kept under a name in styles.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from inkwash.core.errors import DamagedFile, InvalidRequest
from inkwash.prompt.comments import strip_comments


@dataclass(frozen=True, slots=True)
class Style:
    """What a style adds.  ``{prompt}`` in a text is where the person's own prompt goes; without it, in front."""

    name: str
    prompt: str
    negative_prompt: str


def load_styles(path: Path) -> dict[str, Style]:
    """The styles of a file by name, in its order; none if there is no such file.

    Columns: name, prompt (or text, as old files have it), negative_prompt; UTF-8 with or without byte order mark.
    Rows without a name or with one that begins with # are passed over.  Raises DamagedFile.
    """
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            columns = rows.fieldnames or []
            if columns and not ("name" in columns and ("prompt" in columns or "text" in columns)):
                raise DamagedFile(
                    f"{path} has the columns {', '.join(columns)}, not name, prompt, negative_prompt.",
                    "Make its first line: name,prompt,negative_prompt",
                )
            styles = [_style(row) for row in rows]
    except UnicodeDecodeError as error:
        raise DamagedFile(f"{path} is not UTF-8 text.", "Save it again with the encoding UTF-8.") from error
    except csv.Error as error:
        raise DamagedFile(f"{path} is not a table: {error}.", "Mend or remove that line.") from error
    return {style.name: style for style in styles if style.name and not style.name.startswith("#")}


def apply_styles(
    prompt: str, negative_prompt: str, names: Iterable[str], styles: Mapping[str, Style]
) -> tuple[str, str]:
    """Both prompts with the styles of those names put around or behind them, one after another; comments go.

    Raises InvalidRequest for a name that is not among the styles.
    """
    prompt = strip_comments(prompt).strip()
    negative_prompt = strip_comments(negative_prompt).strip()
    for name in names:
        style = styles.get(name)
        if style is None:
            raise InvalidRequest(f"There is no style {name!r}.", _near(name, styles))
        prompt = _merge(style.prompt, prompt)
        negative_prompt = _merge(style.negative_prompt, negative_prompt)
    return prompt, negative_prompt


def _style(row: Mapping[str, str | None]) -> Style:
    prompt = row["prompt"] if "prompt" in row else row["text"]
    return Style(row["name"] or "", prompt or "", row.get("negative_prompt") or "")


def _merge(style: str, prompt: str) -> str:
    style = strip_comments(style).strip()
    if "{prompt}" in style:
        return style.replace("{prompt}", prompt)
    return ", ".join(text for text in (prompt, style) if text)


def _near(name: str, styles: Mapping[str, Style]) -> str:
    near = get_close_matches(name[:80], styles, n=3, cutoff=0.4)
    if near:
        return f"Did you mean {' or '.join(repr(match) for match in near)}?"
    return "Add it to styles.csv." if styles else "There is no styles.csv, or it is empty."
