"""Schedules of edited and alternating prompts against what A1111 v1.10 makes of the same texts."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkwash.prompt import schedule

CASES = json.loads((Path(__file__).parent / "cases" / "editing.json").read_text("utf-8"))
FULL_WIDTH = str.maketrans("():", "（）：")
MARKS = st.sampled_from(
    ["(", ")", "[", "]", ":", "|", "a", "b ", "3", "0.5", "[a:b:3]", "[c|d]", ":4]", ":1.5]", "\\", "\\["]
)
PROMPTS = st.lists(MARKS, max_size=30).map("".join)


@pytest.mark.parametrize(("text", "steps", "hires_steps", "entries"), CASES)
def test_schedule_equals_a1111(text, steps, hires_steps, entries):
    assert schedule(text, steps, hires_steps) == [tuple(entry) for entry in entries]


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("[猫：狗：3]", [(3, "猫"), (10, "狗")]),
        ("[（猫：1.2）：0.3]", [(3, ""), (10, "（猫：1.2）")]),
        ("[a:（b]：3]", [(10, "[a:（b]：3]")]),
        ("[\\（a:b:3]", [(3, "\\（a"), (10, "b")]),
        ("[a:b:1e400]", [(10, "a")]),
        ("[a:b:-1e400]", [(10, "b")]),
        (f"[a:b:{'9' * 5000}]", [(10, "a")]),
        ("a [{b|d{:.5] c", [(5, "a  c"), (10, "a {b|d{ c")]),
    ],
)
def test_beyond_a1111(text, entries):
    """Full-width twins, numbers too large for its parser, and the edit its documentation promises."""
    assert schedule(text, 10) == entries


@pytest.mark.parametrize("text", ["[a:b:3]:", "]][a:b:3]]", "[a:b:3](x:", ")[a:b:3]"])
def test_an_edit_between_stray_marks_is_an_edit(text):
    """A1111 takes one of the possible readings at random here."""
    assert schedule(text, 10) == [(3, text.replace("[a:b:3]", "a")), (10, text.replace("[a:b:3]", "b"))]


@given(st.text(max_size=60) | PROMPTS, st.integers(1, 30), st.none() | st.integers(1, 30))
def test_every_step_has_one_text(text, steps, hires_steps):
    last_steps = [last for last, _ in schedule(text, steps, hires_steps)]
    assert last_steps == sorted(set(last_steps))
    assert last_steps[0] >= 1
    assert last_steps[-1] == (hires_steps or steps)


@given(PROMPTS)
def test_full_width_twins_act_alike(text):
    expected = [(last, read.translate(FULL_WIDTH)) for last, read in schedule(text, 10)]
    assert schedule(text.translate(FULL_WIDTH), 10) == expected


@given(PROMPTS)
def test_marks_that_are_escaped_never_edit(text):
    escaped = "".join(f"\\{letter}" if letter in "[]():|\\" else letter for letter in text)
    assert schedule(escaped, 10) == [(10, escaped)]


def test_texts_come_round_with_the_alternations_and_the_edits():
    entries = schedule("[a|b][c|d|e][x:y:4]", 12)
    options = [("ab"[(step - 1) % 2], "cde"[(step - 1) % 3], "x" if step <= 4 else "y") for step in range(1, 13)]
    assert entries == [(step, "".join(option)) for step, option in enumerate(options, start=1)]
