"""Chunks of 75 tokens: where they break, what they hold.  The expected breaks are A1111 v1.10's rules by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkwash.core.errors import InvalidRequest
from inkwash.prompt import load_tokenizer, token_view, tokenize

CAT, DOG, COMMA, BOS, EOS = 2368, 1929, 267, 49406, 49407


def cats(count):
    return " cat" * count


def used(text, **options):
    return [chunk.used for chunk in tokenize(text, load_tokenizer(), **options)]


def test_a_chunk_is_bos_text_eos():
    (chunk,) = tokenize("cat (dog:1.3)", load_tokenizer())
    assert chunk.ids == (BOS, CAT, DOG) + (EOS,) * 74
    assert chunk.weights == (1.0, 1.0, 1.3) + (1.0,) * 74
    assert (chunk.embeddings, chunk.used) == ((), 2)


def test_no_text_is_one_empty_chunk():
    (chunk,) = tokenize("", load_tokenizer())
    assert chunk.ids == (BOS,) + (EOS,) * 76


@pytest.mark.parametrize(
    ("text", "breaks"),
    [
        (cats(75), [75]),
        (cats(76), [75, 1]),
        (cats(151), [75, 75, 1]),
        # a comma at most 20 tokens back takes the break to itself
        (cats(60) + "," + cats(14), [75]),
        (cats(60) + "," + cats(15), [61, 15]),
        (cats(55) + "," + cats(25), [56, 25]),
        (cats(54) + "," + cats(25), [75, 5]),
        (cats(50) + "," + cats(10) + "," + cats(20), [62, 20]),
        # only the comma of the present chunk counts
        (cats(60) + "," + cats(100), [61, 75, 25]),
        # a comma in the last place, and one that finds the chunk full
        (cats(74) + "," + cats(2), [75, 2]),
        (cats(75) + "," + cats(2), [75, 3]),
        (cats(60) + "," + cats(14) + ",", [75, 1]),
        # emphasis does not matter
        ("(" + cats(60) + ":1.2)," + cats(15), [61, 15]),
    ],
)
def test_where_chunks_break(text, breaks):
    assert used(text) == breaks


def test_comma_backtrack_can_be_set():
    text = cats(60) + "," + cats(20)
    assert used(text, comma_backtrack=0) == [75, 6]
    assert used(text, comma_backtrack=14) == [75, 6]
    assert used(text, comma_backtrack=15) == [61, 20]


@pytest.mark.parametrize(
    ("text", "breaks"),
    [
        ("cat BREAK dog", [1, 1]),
        ("cat BREAK", [1]),
        ("BREAK cat", [0, 1]),
        ("BREAK", [0]),
        ("cat BREAK BREAK dog", [1, 0, 1]),
        (cats(75) + " BREAK dog", [75, 1]),
        (cats(60) + "," + cats(10) + " BREAK" + cats(80), [71, 75, 5]),
    ],
)
def test_break_fills_the_chunk(text, breaks):
    assert used(text) == breaks


@pytest.mark.parametrize(
    ("emphasis", "pieces", "weights"),
    [
        ("Original", ["cat", "dog"], [1.0, 1.3]),
        ("No norm", ["cat", "dog"], [1.0, 1.3]),
        ("Ignore", ["cat", "dog"], [1.0, 1.0]),
        ("None", ["cat", "(", "dog", ":", "1", ".", "3", ")"], [1.0] * 8),
    ],
)
def test_emphasis_modes(emphasis, pieces, weights):
    tokens = token_view("cat (dog:1.3)", load_tokenizer(), emphasis)
    assert [token.text for token in tokens] == pieces
    assert [token.weight for token in tokens] == weights


def test_break_in_emphasis_modes():
    assert used("cat BREAK dog", emphasis="Ignore") == [1, 1]
    assert used("cat BREAK dog", emphasis="None") == [3]


def test_an_unknown_emphasis_mode_is_refused():
    with pytest.raises(InvalidRequest, match="no emphasis mode 'original'"):
        tokenize("cat", load_tokenizer(), emphasis="original")


EMBEDDINGS = {"ink": 3, "ink wash": 5, "EasyNegative": 8}


def test_an_embedding_takes_the_place_of_its_name():
    (chunk,) = tokenize("cat (ink:1.2) dog", load_tokenizer(), embeddings=EMBEDDINGS)
    assert chunk.ids[:6] == (BOS, CAT, 0, 0, 0, DOG)
    assert chunk.weights[:6] == (1.0, 1.0, 1.2, 1.2, 1.2, 1.0)
    assert (chunk.embeddings, chunk.used) == (((2, "ink"),), 5)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ink wash", ["ink wash"]),
        ("ink  WASH ink", ["ink wash", "ink"]),
        ("ink, wash", ["ink"]),
        ("easynegative", ["EasyNegative"]),
        ("inks", []),
        ("ink (wash)", ["ink"]),
    ],
)
def test_the_longest_name_wins(text, found):
    (chunk,) = tokenize(text, load_tokenizer(), embeddings=EMBEDDINGS)
    assert [name for _, name in chunk.embeddings] == found


def test_an_embedding_never_straddles_chunks():
    first, second = tokenize(cats(68) + " easynegative dog", load_tokenizer(), embeddings=EMBEDDINGS)
    assert (first.used, first.embeddings) == (68, ())
    assert (second.used, second.embeddings) == (9, ((1, "EasyNegative"),))
    assert used(cats(67) + " easynegative", embeddings=EMBEDDINGS) == [75]


def test_an_embedding_behind_the_comma_moves_with_the_text():
    first, second = tokenize(cats(60) + ", ink" + cats(15), load_tokenizer(), embeddings=EMBEDDINGS)
    assert (first.used, first.embeddings) == (61, ())
    assert (second.used, second.embeddings) == (18, ((1, "ink"),))


@pytest.mark.parametrize("vectors", [0, 76])
def test_an_embedding_that_fits_no_chunk_is_refused(vectors):
    with pytest.raises(InvalidRequest, match=f"'ink' has {vectors} vectors"):
        tokenize("cat", load_tokenizer(), embeddings={"ink": vectors})


def test_token_view_tells_every_place():
    tokens = token_view("cat BREAK (猫:1.1) ink", load_tokenizer(), embeddings={"ink": 2})
    assert [(token.text, token.chunk, token.position, token.weight) for token in tokens] == [
        ("cat", 0, 1, 1.0),
        ("猫", 1, 1, 1.1),
        ("", 1, 2, 1.1),
        ("", 1, 3, 1.1),
        ("ink", 1, 4, 1.0),
        ("", 1, 5, 1.0),
    ]
    assert [(token.embedding, token.vector) for token in tokens[4:]] == [("ink", 0), ("ink", 1)]


WORDS = st.sampled_from(
    ["cat", "dog,", ", ,", "(cat:1.2)", "BREAK", "ink", "easynegative", "ink wash", "antidisestablish"]
)


@given(st.lists(WORDS, max_size=120).map(" ".join), st.integers(0, 75))
def test_chunks_hold_every_token_once_and_in_order(text, comma_backtrack):
    tokenizer = load_tokenizer()
    options = {"comma_backtrack": comma_backtrack, "embeddings": EMBEDDINGS}
    chunks = tokenize(text, tokenizer, **options)
    tokens = token_view(text, tokenizer, **options)
    assert all(len(chunk.ids) == len(chunk.weights) == 77 for chunk in chunks)
    assert [id for chunk in chunks for id in chunk.ids[1 : chunk.used + 1]] == [token.id for token in tokens]
    assert all(chunk.ids[0] == BOS and set(chunk.ids[chunk.used + 1 :]) == {EOS} for chunk in chunks)
    unbroken = tokenize(text.replace("BREAK", ""), tokenizer, embeddings=EMBEDDINGS)
    assert sum(chunk.used for chunk in chunks) == sum(chunk.used for chunk in unbroken)
    for position, name in (place for chunk in chunks for place in chunk.embeddings):
        assert position + EMBEDDINGS[name] <= 76


def test_no_token_reaches_over_a_bracket():
    """A1111 gives each piece to the tokenizer by itself."""
    assert used("cat") == [1]
    assert used("ca(t)") == [2]
