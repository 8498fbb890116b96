"""Emphasis, BREAK and AND against what A1111 v1.10 makes of the same texts."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkwash.prompt import BREAK, grammar, parse_attention, parse_compositions

CASES = Path(__file__).parent / "cases"
FULL_WIDTH = str.maketrans("():", "（）：")
MARKS = st.sampled_from(
    ["(", ")", "[", "]", ":1.2)", ":.5)", ": 2 )", "a", "cat", " ", "BREAK", ":", ",", "\\", "\\(", "猫"]
)
PROMPTS = st.lists(MARKS, max_size=40).map("".join)


@pytest.mark.parametrize(("text", "pieces"), json.loads((CASES / "attention.json").read_text("utf-8")))
def test_attention_equals_a1111(text, pieces):
    assert parse_attention(text) == [tuple(piece) for piece in pieces]


@pytest.mark.parametrize(("text", "prompts"), json.loads((CASES / "compositions.json").read_text("utf-8")))
def test_compositions_equal_a1111(text, prompts):
    assert parse_compositions(text) == [tuple(prompt) for prompt in prompts]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("（猫）", [("猫", 1.1)]),
        ("（猫：1.3）", [("猫", 1.3)]),
        ("（猫:1.3)", [("猫", 1.3)]),
        ("(猫：１.３）", [("猫", 1.3)]),
        ("a （（b：1.2） c）", [("a ", 1.0), ("b", 1.2 * 1.1), (" c", 1.1)]),
        ("[猫（狗）]", [("猫", 1 / 1.1), ("狗", 1.0)]),
        ("\\（猫\\）", [("（猫）", 1.0)]),
        ("（猫\\）", [("猫）", 1.1)]),
        ("猫）", [("猫）", 1.0)]),
        ("时间：晚上", [("时间：晚上", 1.0)]),
        ("猫：1.3）", [("猫：1.3）", 1.0)]),
    ],
)
def test_full_width_punctuation(text, pieces):
    assert parse_attention(text) == pieces


@given(PROMPTS)
def test_full_width_twins_change_nothing_else(text):
    expected = [(piece.translate(FULL_WIDTH), weight) for piece, weight in parse_attention(text)]
    assert parse_attention(text.translate(FULL_WIDTH)) == expected


def test_full_width_weight_of_a_composition():
    assert parse_compositions("猫：1.2 AND 狗 ： 0.8") == [("猫", 1.2), (" 狗", 0.8)]


@pytest.mark.parametrize("number", ["1.2.3", ".", "1..", "..5"])
def test_what_is_no_number_is_text_in_plain_brackets(number):
    assert parse_attention(f"(a:{number})") == [(f"a:{number}", 1.1)]


@given(st.text(max_size=60) | PROMPTS)
def test_any_text_has_merged_pieces(text):
    pieces = parse_attention(text)
    assert pieces
    assert all(first[1] != second[1] for first, second in pairwise(pieces))


@given(st.text(alphabet="abc ,.é猫", max_size=60))
def test_text_without_marks_stays_whole(text):
    assert parse_attention(text) == [(text, 1.0)]


def test_break_keeps_equal_neighbours_apart():
    assert parse_attention("a BREAK b") == [("a", 1.0), BREAK, ("b", 1.0)]


@given(PROMPTS)
def test_the_fast_way_to_multiply_agrees_with_the_exact_one(text):
    """Both products, of all pieces before merging, differ by rounding alone."""
    pieces, weights, spans = grammar._read(text)
    exact = weights.copy()
    for start, end, multiplier, _ in spans:
        exact[start:end] = [weight * multiplier for weight in exact[start:end]]
    for kind in "([":
        grammar._multiply_nested(weights, [span for span in spans if span[3] == kind])
    assert weights == pytest.approx(exact, rel=1e-12)
    assert len(pieces) == len(weights)


def test_nesting_too_deep_for_exact_products_still_multiplies():
    depth = 2000
    text = "".join(f"({i % 10}" for i in range(depth)) + ":0.999)" * depth
    weights = [weight for _, weight in parse_attention(text)]
    assert weights == pytest.approx([0.999 ** (i + 1) for i in range(depth)], rel=1e-10)
