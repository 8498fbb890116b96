"""Comments in prompts: from # to the end of the line."""

from __future__ import annotations

import re

_WHOLE_LINE = re.compile(r"(^|\n)#[^\n]*(\n|$)")
_REST_OF_LINE = re.compile(r"#[^\n]*(\n|$)")


def strip_comments(text: str) -> str:
    """The text without comments.  A line that is nothing but a comment goes altogether."""
    return _REST_OF_LINE.sub("\n", _WHOLE_LINE.sub("\n", text))
