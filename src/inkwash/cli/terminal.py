"""Words to the person.  Results go to standard output, everything else to standard error."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from inkwash.core.errors import InkwashError

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show_error(error: InkwashError) -> None:
    say(f"error: {harmless(error.message)}")
    if error.remedy:
        say(f"  what to do: {harmless(error.remedy)}")


def harmless(text: str) -> str:
    """Text from a file, fit for a terminal: control characters, which could drive it, are shown as U+FFFD."""
    return _CONTROL.sub("\ufffd", text)


def short(path: Path) -> str:
    """The path as the person would type it here: relative when it lies under the current folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
