"""Strict mode's self-check: nothing is shared before it is proven, and one difference settles it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from inkwash.runtime.sharing import PROOFS, SharingCheck

SHAPE = (torch.float32, (4, 8, 8), 77)


def proven(check: SharingCheck, k: int = 2, rows: int = 4) -> SharingCheck:
    for _ in range(PROOFS):
        check.record(SHAPE, k, rows, equal=True)
    return check


def test_nothing_is_trusted_before_enough_proofs() -> None:
    check = SharingCheck()
    for _ in range(PROOFS):
        assert check.trusted(SHAPE, 2, 4) is None
        check.record(SHAPE, 2, 4, equal=True)
    assert check.trusted(SHAPE, 2, 4) is True


@pytest.mark.parametrize("before", [0, 1, PROOFS, PROOFS + 3])
def test_one_difference_settles_it_for_good(before: int) -> None:
    check = SharingCheck()
    for _ in range(before):
        check.record(SHAPE, 2, 4, equal=True)
    check.record(SHAPE, 2, 4, equal=False)
    assert check.trusted(SHAPE, 2, 4) is False
    proven(check)
    assert check.trusted(SHAPE, 2, 4) is False


def test_a_proof_holds_for_its_own_size_and_shape_only() -> None:
    check = proven(SharingCheck())
    assert check.trusted(SHAPE, 2, 6) is None
    assert check.trusted(SHAPE, 1, 4) is None
    assert check.trusted((torch.bfloat16, *SHAPE[1:]), 2, 4) is None


def test_a_proof_holds_for_its_own_number_of_threads_only() -> None:
    check, threads = proven(SharingCheck()), torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert check.trusted(SHAPE, 2, 4) is None
    finally:
        torch.set_num_threads(threads)
    assert check.trusted(SHAPE, 2, 4) is True


def test_a_call_of_ones_own_needs_no_proof() -> None:
    assert SharingCheck().trusted(SHAPE, 2, 2) is True


def test_settled_answers_outlive_the_process(tmp_path: Path) -> None:
    check = proven(SharingCheck(tmp_path / "cache"))
    check.record(SHAPE, 2, 6, equal=False)
    check.record(SHAPE, 2, 8, equal=True)
    later = SharingCheck(tmp_path / "cache")
    assert [later.trusted(SHAPE, 2, rows) for rows in (4, 6, 10)] == [True, False, None]


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'{"x": "many"}', b"\xff\xfe", b'{"x": true}'])
def test_a_spoilt_file_only_costs_proving_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sharing.json").write_bytes(content)
    check = SharingCheck(tmp_path)
    assert check.trusted(SHAPE, 2, 4) is None
    proven(check)
    assert all(type(count) is int for count in json.loads((tmp_path / "sharing.json").read_text()).values())
