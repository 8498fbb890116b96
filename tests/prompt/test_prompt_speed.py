"""No prompt, however hostile, takes the language more than linear work or a deep stack.

In every run the executed lines are counted.  With ``-m slow`` processor time is measured too: 100 kB take 10 to 100 ms,
the bounds are several times that.
"""

import sys
from time import process_time

import pytest

from inkwash.prompt import (
    load_tokenizer,
    parse_attention,
    parse_compositions,
    parse_networks,
    schedule,
    strip_comments,
    tokenize,
)

PARTS = """
( [ ) ] : | \\ ， （ ） ： 1 # < > é 😀 _ (a [a (a:1.1) (a:1.1 ((a) (a)[b] :1.1) :. 1. \\( {a|b} (：1 [a:b: [a| [a:
[a|b] [a:b:3] [[a:b:3]:c:4] [: [| [( ([ )( a:1 <a: <lora:a:1> __a__
"""
REPEATED = PARTS.split()
SPACED = ["AND ", "BREAK ", " BREAK", ": 1", " ", "\n", "\t", "(a [b) c]", "# a\n", "\n#"]
NESTED = {
    "round": lambda n: "(" * (n // 2) + ")" * (n // 2),
    "square": lambda n: "[" * (n // 2) + "]" * (n // 2),
    "weights": lambda n: "(a" * (n // 6) + ":.9)" * (n // 6),
    "edits": lambda n: "[a:" * (n // 6) + ":3]" * (n // 6),
    "alternations": lambda n: "[a|" * (n // 4) + "]" * (n // 4),
    "crossing": lambda n: "(a[b" * (n // 8) + "c)]" * (n // 8),
    "digits": lambda n: "(a:" + "9" * n + ")",
    "fractions": lambda n: "[a:b:" + ".1" * (n // 2) + "]",
    "spaces": lambda n: "(a:" + " " * n + "1)",
    "number after spaces": lambda n: "[a:b:" + " " * n + "3]",
}
HOSTILE = {repr(part): lambda n, part=part: (part * n)[:n] for part in [*REPEATED, *SPACED]} | NESTED
PARSERS = {
    "attention": parse_attention,
    "compositions": parse_compositions,
    "networks": parse_networks,
    "schedule": lambda text: schedule(text, 20),
}


def seconds(parse, text):
    begin = process_time()
    parse(text)
    return process_time() - begin


def lines(parse, text):
    """How many lines of Python run."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse(text)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_work_is_linear(parser, hostile):
    make, parse = HOSTILE[hostile], PARSERS[parser]
    assert lines(parse, make(8_000)) < 4.5 * lines(parse, make(2_000)) + 1_000


@pytest.mark.slow
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_time_is_linear(parser, hostile):
    make, parse = HOSTILE[hostile], PARSERS[parser]
    long = seconds(parse, make(100_000))
    assert long < 0.5
    if long > 0.1:  # below, the clock and the rest of the machine decide
        long = min(long, seconds(parse, make(100_000)))
        assert long < 10 * min(seconds(parse, make(25_000)) for _ in range(2)) + 0.05


@pytest.mark.slow
def test_a_long_prompt_of_alternations_with_many_steps():
    text = "".join(f"[{'|'.join('abcdefghijk'[:count])}]" for count in range(2, 12)) * 500
    assert seconds(lambda text: schedule(text, 150), text) < 3


@pytest.mark.slow
@pytest.mark.parametrize("part", ["#", "\n#", "# a\n", "#\n", "\n"])
def test_comments_take_linear_time(part):
    assert seconds(strip_comments, part * 50_000) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("text", ["a" * 100_000, "猫" * 30_000, "a, " * 30_000, "(a:1.1)" * 14_000, "'" * 100_000])
def test_tokens_of_a_long_prompt(text):
    tokenizer = load_tokenizer()
    assert seconds(lambda text: tokenize(text, tokenizer), text) < 3
