from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkwash.core import naming
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest


def facts(prompt: str = "a cute cat, best quality", model: str = "tiny") -> naming.Facts:
    request = GenerateRequest(prompt=prompt, width=512, height=768, sampler="DPM++ 2M", cfg_scale=7.5)
    when = datetime(2026, 11, 20, 9, 8, 7)
    return naming.Facts(request, seed=1234, subseed=9, index=1, when=when, model_name=model, model_hash="abc")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (naming.DEFAULT, "00007-1234"),
        ("[seed]-[prompt_words]", "1234-a cute cat best quality"),
        ("[date]_[time]", "2026-11-20_090807"),
        ("[model_name].[width]x[height]", "tiny.512x768"),
        ("[sampler] cfg[cfg] [batch_number]", "DPM++ 2M cfg7.5 2"),
        ("plain", "plain"),
        ("../up", "_up"),
    ],
)
def test_patterns(pattern: str, name: str) -> None:
    naming.check(pattern)
    assert naming.name(pattern, facts(), 7) == name


def test_an_unknown_field_is_named_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest) as caught:
        naming.check("[sede]")
    assert "[sede]" in caught.value.message
    assert "[seed]" in caught.value.remedy


@given(st.text(), st.text())
def test_a_name_is_one_safe_path_component(prompt: str, model: str) -> None:
    name = naming.name("[prompt][model_name]", facts(prompt, model), 0)
    assert name not in ("", ".", "..")
    assert Path(name).name == name
    assert not set(name) & set('<>:"/\\|?*\0')
    assert len(name.encode()) <= naming.LONGEST + 1
    assert name == name.rstrip(" .")


@pytest.mark.parametrize("reserved", ["con", "NUL", "com1", "aux.txt"])
def test_names_windows_reserves_are_avoided(reserved: str) -> None:
    assert naming.name(reserved, facts(), 0) == f"_{reserved}"


def test_numbers_go_on_from_the_highest(tmp_path: Path) -> None:
    assert naming.next_number(tmp_path / "absent") == 0
    assert naming.next_number(tmp_path) == 0
    for name in ("00000-1.png", "00041-5.png", "cat.png", "00007-3-steps", "12345678901234.png"):
        (tmp_path / name).touch()
    assert naming.next_number(tmp_path) == 42
