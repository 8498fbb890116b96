"""Words of quality told from words that name something."""

from __future__ import annotations

import pytest

from inkwash.prompt.quality import names_things, quality_words


@pytest.mark.parametrize(
    ("prompt", "kept", "names"),
    [
        ("", "", False),
        ("best quality, 8k", "best quality, 8k", False),
        ("a cat, (Best Quality:1.2),\nmasterpiece, on a hill", "(Best Quality:1.2), masterpiece", True),
        ("((detailed))", "((detailed))", False),
        ("a detailed cat", "", True),
        (" , ,", "", False),
        ("portrait: a man, [sharp focus: 0.8]", "[sharp focus: 0.8]", True),
    ],
)
def test_what_may_be_said_to_every_tile(prompt: str, kept: str, names: bool) -> None:
    assert quality_words(prompt) == kept
    assert names_things(prompt) == names
