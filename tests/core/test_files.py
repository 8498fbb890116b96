import errno
import os
from pathlib import Path

import pytest

from inkwash.core import files


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    files.write(path, b"one")
    files.write(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_write_new_never_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    assert files.write_new(path, b"one") is True
    assert files.write_new(path, b"two") is False
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_write_new_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: object, target: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    assert files.write_new(tmp_path / "a.txt", b"one") is True
    assert files.write_new(tmp_path / "a.txt", b"two") is False
    assert (tmp_path / "a.txt").read_bytes() == b"one"


def test_files_are_as_public_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        files.write(tmp_path / "a.txt", b"")
        assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EIO, "Input/output error")]
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_is_told_in_words_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, call: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(files.CannotWrite, match=words) as caught:
        files.write(tmp_path / "a.txt", b"data")
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(files.CannotWrite):
        files.check_folder(tmp_path / "file")
    with pytest.raises(files.CannotWrite):
        files.write(tmp_path / "file" / "a.txt", b"")
