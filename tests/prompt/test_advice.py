"""Advice: given where a prompt probably says something else than its author meant, and only there."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inkwash.prompt import advise, load_tokenizer


def codes(prompt, **options):
    return [advice.code for advice in advise(prompt, load_tokenizer(), **options)]


@pytest.mark.parametrize(
    ("prompt", "code", "where", "message"),
    [
        ("(masterpiece:1,2), cat", "decimal-comma", "(masterpiece:1,2), cat", "write 1.2."),
        ("（杰作：1，2）", "decimal-comma", "（杰作：1，2）", "write 1.2."),
        ("[a:b:0,5]", "decimal-comma", "[a:b:0,5]", "write 0.5."),
        ("(best quality 1.4)", "missing-colon", "(best quality 1.4)", "write (best quality:1.4)"),
        ("[cat:1.3]", "square-weight", "[cat:1.3]", "write (cat:1.3)"),
        ("cat:1.4, dog", "bare-weight", "cat:1.4", "write (cat:1.4)"),
        ("(cat:1.7)", "weight", "cat", "1.7"),
        ("(cat:0.3)", "weight", "cat", "0.3"),
        ("((((((cat))))))", "weight", "cat", "1.77"),
        ("[dog:(cat:3):5]", "weight", "cat", "3"),
        ("a dog AND (cat:1.7)", "weight", "cat", "1.7"),
        ("(cat", "unbalanced-bracket", "(cat", "never closed"),
        ("cat]", "unbalanced-bracket", "cat]", "closes nothing"),
        ("（猫）", "full-width", "（猫）", "read as ( ) :"),
        ("[猫：狗：3]", "full-width", "[猫：狗：3]", "read as ( ) :"),
        ("<loar:x:1>", "unknown-tag", "<loar:x:1>", "<lora:...>"),
        ("cat | dog [a:b:3]", "stray-bar", "[a:b:3]", "plain text"),
        ("(a BREAK b)", "break-in-brackets", "BREAK", "a word"),
        (
            ", ".join(["red apple"] * 30),
            "overflow",
            "red apple, red apple, red apple, red apple, red apple",
            "89 tokens",
        ),
    ],
)
def test_advice(prompt, code, where, message):
    (advice,) = [advice for advice in advise(prompt, load_tokenizer()) if advice.code == code]
    assert advice.where == where
    assert message in advice.message
    assert advice.message_zh
    assert any("\u4e00" <= letter <= "\u9fff" for letter in advice.message_zh)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a cute cat, best quality",
        "masterpiece, (best quality:1.2), [blurry], ((1girl)), hatsune miku \\(vocaloid\\)",
        "[cat:dog:0.5], [a|b], [tree:10], [x::0.8]",
        "<lora:ink:0.8> <hypernet:x:1> <lyco:y>, ratio 16:9, at 12:30, 1.5 litres",
        "a cat:1.2 AND a dog:0.8",
        "水墨画，一只猫，时间：晚上",
        ", ".join(["cat"] * 37) + " BREAK " + ", ".join(["cat"] * 37),
        "(cat:1.6), (dog:0.4)",
    ],
)
def test_no_advice_on_a_sound_prompt(prompt):
    assert codes(prompt) == []


def test_an_edit_of_the_hires_pass_is_no_mistake_when_there_is_one():
    assert codes("[cat:1.3]", hires=True) == []


def test_overflow_counts_the_vectors_of_embeddings():
    prompt = "cat " * 70 + "ink"
    assert codes(prompt) == []
    assert codes(prompt, embeddings={"ink": 6}) == ["overflow"]


def test_few_of_each_kind():
    assert codes(")" * 1000).count("unbalanced-bracket") == 5


@settings(max_examples=50)
@example("0" * 19 + "\x80" * 6 + "Â¤Õࠀ𐀀Â\U0001239aÊ\U0002fa1eיִ𐀀𐀀𐀀𐀀")  # the 76th token is the last of a character's four
@given(st.text(max_size=60) | st.lists(st.sampled_from(list("()[]:|,.\\<>1（）：a ")), max_size=40).map("".join))
def test_any_prompt_can_be_advised_on(prompt):
    for advice in advise(prompt.replace("<", ""), load_tokenizer()):
        assert advice.where
        assert len(advice.where) <= 60
