"""Wildcards from files: which lines, how deep, and what is refused."""

from collections import Counter
from random import Random

import pytest

from inkwash.core.errors import DamagedFile, InvalidRequest
from inkwash.prompt import expand_wildcards, find_wildcards


@pytest.fixture
def files(tmp_path):
    texts = {
        "colour.txt": "red\n\n# warm\ngreen\n  blue  \n",
        "animal.txt": "__colour__ cat\n__colour__ dog",
        "hair/long.txt": "long hair",
        "loop.txt": "__loop__",
        "empty.txt": "# nothing\n\n",
        "多.txt": "水墨",
        "huge.txt": "x" * 60_000,
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return find_wildcards(tmp_path)


def test_names_are_paths_without_ending(files, tmp_path):
    assert set(files) == {"colour", "animal", "hair/long", "loop", "empty", "多", "huge"}
    assert find_wildcards(tmp_path / "missing") == {}


def test_lines_are_chosen_by_the_seed_in_reading_order(files):
    """A1111's script seeds Python's generator with the picture's seed and calls choice for each wildcard in turn."""
    for seed in range(20):
        random = Random(seed)
        expected = [random.choice(["red", "green", "blue"]) for _ in range(3)]
        assert expand_wildcards("__colour__, __colour__ and __colour__", seed, files) == "{}, {} and {}".format(
            *expected
        )


def test_every_line_has_its_turn(files):
    chosen = Counter(expand_wildcards("__colour__", seed, files) for seed in range(300))
    assert set(chosen) == {"red", "green", "blue"}
    assert min(chosen.values()) > 60


def test_lines_may_hold_wildcards(files):
    assert {expand_wildcards("a __animal__!", seed, files) for seed in range(100)} == {
        f"a {colour} {animal}!" for colour in ("red", "green", "blue") for animal in ("cat", "dog")
    }
    assert expand_wildcards("__hair/long__, __多__", 1, files) == "long hair, 水墨"


@pytest.mark.parametrize("text", ["a cat", "a_b", "__", "____", "__ a __", "snake_case__"])
def test_what_is_no_wildcard_stays(text, files):
    assert expand_wildcards(text, 1, files) == text


def test_without_files_the_text_stays():
    assert expand_wildcards("__init__", 1, {}) == "__init__"


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("__color__", "no wildcard file color.txt", "__colour__"),
        ("__../secret__", "no wildcard file ../secret.txt", ""),
        ("__loop__", "in a circle", "Take it out"),
        ("__empty__", "no lines", "Add some"),
        ("__huge__ __huge__", "beyond 100,000 characters", "fewer"),
    ],
)
def test_mistakes_are_told(text, message, remedy, files):
    with pytest.raises(InvalidRequest, match=message) as error:
        expand_wildcards(text, 1, files)
    assert remedy in error.value.remedy


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes("红".encode("gbk"))
    with pytest.raises(DamagedFile, match="not UTF-8"):
        expand_wildcards("__a__", 1, find_wildcards(tmp_path))


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "wildcards"
    folder.mkdir()
    (folder / "inside.txt").write_text("fine")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert set(find_wildcards(folder)) == {"inside"}
