"""styles.csv and comments, as A1111 v1.10 has them."""

import pytest

from inkwash.core.errors import DamagedFile, InvalidRequest
from inkwash.prompt import Style, apply_styles, load_styles, strip_comments

INK = Style("Ink", "ink wash of {prompt}, sumi-e", "photo")
CLEAN = Style("Clean", "clean lines", "lowres, {prompt}")
STYLES = {style.name: style for style in (INK, CLEAN)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_load(tmp_path, encoding):
    path = tmp_path / "styles.csv"
    path.write_text(
        'name,prompt,negative_prompt\n水墨,"ink, ""wash""\nof {prompt}",photo\n# off,x,y\n,nameless,\nBare,only\n',
        encoding,
    )
    assert load_styles(path) == {
        "水墨": Style("水墨", 'ink, "wash"\nof {prompt}', "photo"),
        "Bare": Style("Bare", "only", ""),
    }


def test_load_the_old_columns(tmp_path):
    path = tmp_path / "styles.csv"
    path.write_text("name,text\nInk,ink wash\n", "utf-8")
    assert load_styles(path) == {"Ink": Style("Ink", "ink wash", "")}


def test_no_file_and_an_empty_file_have_no_styles(tmp_path):
    assert load_styles(tmp_path / "styles.csv") == {}
    (tmp_path / "styles.csv").write_text("")
    assert load_styles(tmp_path / "styles.csv") == {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("名称,prompt\n墨,ink\n".encode("gbk"), "not UTF-8"),
        (b"title,prompt\nInk,ink\n", "columns title, prompt"),
        (b"name,prompt\nInk," + b"x" * 200_000 + b"\n", "not a table"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, data, message):
    path = tmp_path / "styles.csv"
    path.write_bytes(data)
    with pytest.raises(DamagedFile, match=message) as error:
        load_styles(path)
    assert str(path) in str(error.value)
    assert error.value.remedy


@pytest.mark.parametrize(
    ("names", "prompt", "negative", "expected"),
    [
        ([], " a cat ", "", ("a cat", "")),
        (["Ink"], "a cat", "dog", ("ink wash of a cat, sumi-e", "dog, photo")),
        (["Clean"], "a cat", "dog", ("a cat, clean lines", "lowres, dog")),
        (["Ink", "Clean"], "a cat", "", ("ink wash of a cat, sumi-e, clean lines", "lowres, photo")),
        (["Clean", "Ink"], "", "", ("ink wash of clean lines, sumi-e", "lowres, , photo")),
    ],
)
def test_apply(names, prompt, negative, expected):
    assert apply_styles(prompt, negative, names, STYLES) == expected


def test_an_unknown_style_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidRequest, match="no style 'Cleen'") as error:
        apply_styles("a", "", ["Cleen"], STYLES)
    assert "'Clean'" in error.value.remedy
    with pytest.raises(InvalidRequest, match="no style 'x'"):
        apply_styles("a", "", ["x"], {})


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("a cat", "a cat"),
        ("a cat # sleeping", "a cat \n"),
        ("# note\na cat", "\na cat"),
        ("a\n# note\nb", "a\nb"),
        ("a # note\nb", "a \nb"),
        ("a#b#c", "a\n"),
        ("#", "\n"),
    ],
)
def test_comments_go(text, rest):
    assert strip_comments(text) == rest


def test_comments_in_styles_go():
    styles = {"Ink": Style("Ink", "ink # or not\n", "# nothing")}
    assert apply_styles("cat # mine", "dog", ["Ink"], styles) == ("cat, ink", "dog")
