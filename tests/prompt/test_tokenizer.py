"""The tokenizer against transformers' CLIPTokenizer, and against ids published with CLIP."""

from importlib.resources import files
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pipelines import clip_tokenizer

from inkwash.prompt import Tokenizer, load_tokenizer
from inkwash.prompt import tokenizer as package

TEXTS = [
    "",
    " ",
    "a photo of a cat",
    "A Photo, of A CAT!!!",
    "masterpiece, best quality, (1girl:1.2), [lowres]",
    "it's, they're, I'm, we'll, he'd, I've, don't, 'tis, O'Brien's'",
    "2024-01-31 12:30 3.14159 1,000,000 ½ ² Ⅷ ١٢٣",
    "一只可爱的猫，水墨画，（杰作：1.2）。",
    "かわいい猫 カタカナ 고양이 кошка γάτα קוֹט قطة แมว",
    "🎨🐈‍⬛👩🏽‍🚀 🇨🇳",
    "café café naïve Ångström ﬁne ＡＢＣ İstanbul ẞ",
    "tab\tnew\nline\r\n  many   spaces\u3000wide\u00a0hard",
    "e.g. foo_bar --flag <lora:x:1> <|startoftext|> <|endoftext|>mid<|endoftext|>",
    "\x00\x07\u200b\ufeff\ud7ff",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "a" * 300,
]
LETTERS = st.sampled_from(list("abCD ,.'!1９é́猫ー한ж🎨\n")) | st.characters(codec="utf-8")


@pytest.fixture(scope="module")
def reference():
    return clip_tokenizer()


def reference_ids(reference, text):
    return reference(text, add_special_tokens=False, truncation=False)["input_ids"]


@pytest.mark.parametrize("text", TEXTS)
def test_ids_equal_transformers(text, reference):
    assert load_tokenizer().encode(text) == reference_ids(reference, text)


@given(st.text(LETTERS, max_size=40))
def test_ids_of_any_text_equal_transformers(reference, text):
    assert load_tokenizer().encode(text) == reference_ids(reference, text)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a diagram", [320, 22697]),
        ("a dog", [320, 1929]),
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("hello world!", [3306, 1002, 256]),
    ],
)
def test_ids_published_with_clip(text, ids):
    assert load_tokenizer().encode(text) == ids


def test_special_ids():
    tokenizer = load_tokenizer()
    assert tokenizer.encode(",") == [Tokenizer.COMMA] == [267]
    assert tokenizer.tokens([Tokenizer.BOS, Tokenizer.EOS]) == ["<|startoftext|>", "<|endoftext|>"]
    assert tokenizer.tokens([Tokenizer.SIZE - 1, Tokenizer.SIZE]) == ["<|endoftext|>", ""]


def test_tokens_are_spelt_as_the_vocabulary_has_them():
    tokenizer = load_tokenizer()
    assert tokenizer.tokens(tokenizer.encode("Cats' 猫")) == ["cats</w>", "'</w>", "ç", "Į", "«</w>"]


@given(st.text(alphabet="abcXYZ,.!猫🎨é", max_size=40))
def test_pieces_together_are_the_text(text):
    pieces = load_tokenizer().pieces(text)
    assert [id for id, _ in pieces] == load_tokenizer().encode(text)
    assert "".join(piece for _, piece in pieces) == text


def test_loading_is_quick_and_the_data_small():
    begin = process_time()
    package.load.__wrapped__()
    assert process_time() - begin < 0.5  # 0.07 s here
    assert sum(path.stat().st_size for path in files(package).iterdir() if path.name.endswith(".gz")) < 400_000
