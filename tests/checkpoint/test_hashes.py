"""Hashes, and remembering them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from inkwash.checkpoint import HashCache, auto_v2, old_hash, sha256, short_hash
from inkwash.checkpoint import hashes as module


def test_known_answers(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")  # FIPS 180-2's example
    digest = sha256(path)
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (short_hash(digest), auto_v2(digest)) == ("ba7816bf8f", "BA7816BF8F")


def test_old_hash_covers_64_kib_at_1_mib(tmp_path: Path) -> None:
    path = tmp_path / "model"
    data = os.urandom(2 * 2**20)
    path.write_bytes(data)
    expected = hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8]
    assert old_hash(path) == expected
    path.write_bytes(bytes(2**20) + data[2**20 :])
    assert old_hash(path) == expected


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.write_bytes(b"one")
    return path


def test_hash_is_computed_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cache" / "hashes.json"
    cache = HashCache(file)
    assert cache.known(model) is None
    digest = cache.sha256(model)
    assert digest == hashlib.sha256(b"one").hexdigest()
    monkeypatch.setattr(module, "opened", lambda path: pytest.fail("read again"))
    assert cache.sha256(model) == HashCache(file).sha256(model) == digest


@pytest.mark.parametrize("change", ["size", "time"])
def test_changed_file_is_read_again(change: str, model: Path, tmp_path: Path) -> None:
    cache = HashCache(tmp_path / "hashes.json")
    cache.sha256(model)
    model.write_bytes(b"three" if change == "size" else b"two")
    os.utime(model, ns=(0, 0))
    assert cache.known(model) is None
    assert cache.sha256(model) == hashlib.sha256(model.read_bytes()).hexdigest()


def test_caches_share_a_file(model: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "hashes.json", tmp_path / "other"
    other.write_bytes(b"other")
    first, second = HashCache(file), HashCache(file)
    first.sha256(model)
    second.sha256(other)
    assert HashCache(file).known(model)
    assert HashCache(file).known(other)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": [1, 2]}', '{"a": ["x", 2, "y"]}', "\xff"])
def test_damaged_cache_is_an_empty_one(text: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "hashes.json").write_bytes(text.encode("latin-1"))
    assert HashCache(tmp_path / "hashes.json").sha256(model) == hashlib.sha256(b"one").hexdigest()
