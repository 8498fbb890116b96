"""Pictures found, marked, thrown away and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.jobs.conftest import Room

from inkwash.core import files
from inkwash.jobs.gallery import Gallery
from inkwash.jobs.serving import PictureNotFound


@pytest.fixture
def gallery(room: Room) -> Gallery:
    """Six pictures by two users."""
    for number, prompt in enumerate(["a cat", "a dog", "Eine Katze", "一只猫，水墨", "A CAT asleep", "100% cat_"]):
        room.submit(user="ann" if number % 2 else "bob", prompt=prompt)
        lease = room.claim()
        room.keep(lease, seed=number, prompt=prompt)
        room.store.finish(lease)
    return Gallery(room.store.database, room.store.shelf)


def prompts(gallery: Gallery, **question: object) -> list[str]:
    return [picture.prompt for picture in gallery.list(**question).pictures]  # type: ignore[arg-type]


def test_newest_first_page_by_page(gallery: Gallery) -> None:
    page = gallery.list(limit=4)
    assert page.total == 6
    assert [picture.seed for picture in page.pictures] == [5, 4, 3, 2]
    rest = gallery.list(limit=4, before=page.pictures[-1].id)
    assert [picture.seed for picture in rest.pictures] == [1, 0]
    assert rest.total == 6


def test_search_takes_every_word_in_any_case_and_script(gallery: Gallery) -> None:
    assert prompts(gallery, search="cat") == ["100% cat_", "A CAT asleep", "a cat"]
    assert prompts(gallery, search="ASLEEP cat") == ["A CAT asleep"]
    assert prompts(gallery, search="水墨") == ["一只猫，水墨"]
    assert prompts(gallery, search="%") == ["100% cat_"]
    assert prompts(gallery, search="model: fake katze") == ["Eine Katze"]  # the whole infotext is searched
    assert gallery.list(search="bird").total == 0


def test_users_and_favourites(gallery: Gallery) -> None:
    assert prompts(gallery, user="ann") == ["100% cat_", "一只猫，水墨", "a dog"]
    chosen = gallery.list().pictures[2]
    assert gallery.mark(chosen.id, True).favourite
    assert prompts(gallery, favourite=True) == [chosen.prompt]
    gallery.mark(chosen.id, False)
    assert prompts(gallery, favourite=True) == []


def test_the_trash_gives_back(gallery: Gallery) -> None:
    picture = gallery.list().pictures[0]
    trashed = gallery.trash(picture.id)
    assert not picture.path.exists()
    assert trashed.path.read_bytes()
    assert trashed.trashed
    assert gallery.list().total == 5
    assert prompts(gallery, trashed=True) == [picture.prompt]
    assert gallery.trash(picture.id) == trashed  # twice is once
    assert gallery.restore(picture.id) == picture
    assert gallery.restore(picture.id) == picture
    assert picture.path.exists()


def test_restoring_does_not_overwrite(gallery: Gallery) -> None:
    picture = gallery.list().pictures[0]
    gallery.trash(picture.id)
    picture.path.write_bytes(b"somebody else's")
    with pytest.raises(files.CannotWrite, match="another file"):
        gallery.restore(picture.id)
    assert picture.path.read_bytes() == b"somebody else's"


def test_a_crash_on_the_way_to_the_trash_loses_nothing(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = gallery.list().pictures[0]

    def dies(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("inkwash.jobs.gallery.move", dies)
    with pytest.raises(KeyboardInterrupt):
        gallery.trash(picture.id)
    monkeypatch.undo()
    assert gallery.get(picture.id).path == picture.path
    assert gallery.restore(picture.id) == picture


def test_unknown_pictures(gallery: Gallery) -> None:
    for call in (gallery.get, gallery.trash, gallery.restore):
        with pytest.raises(PictureNotFound):
            call("nothing-0")
    with pytest.raises(PictureNotFound):
        gallery.list(before="nothing-0")


def test_thousands_of_pictures_are_found_by_index(gallery: Gallery) -> None:
    """A page is read along the index from its start, not by sorting everything."""
    with gallery.database.reading() as db:
        plan = db.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM pictures WHERE trashed = 0 AND seq < 5 ORDER BY seq DESC LIMIT 2"
        ).fetchall()
    told = " ".join(row["detail"] for row in plan)
    assert "USING INDEX pictures_shown" in told
    assert "TEMP B-TREE" not in told
