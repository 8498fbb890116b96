"""Allocators are set before torch is there, and never over the person's own settings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from inkwash.core import allocators


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is set elsewhere")
def test_what_is_not_set_is_set() -> None:
    environ: dict[str, str] = {}
    allocators.prepare(environ)
    assert environ == {"PYTORCH_ALLOC_CONF": "expandable_segments:True", "MALLOC_ARENA_MAX": "2"}


@pytest.mark.parametrize("name", ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])
def test_the_persons_own_settings_stay(name: str) -> None:
    environ = {name: "max_split_size_mb:64", "MALLOC_ARENA_MAX": "7"}
    before = dict(environ)
    allocators.prepare(environ)
    assert environ == before


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is set elsewhere")
def test_the_program_sets_them_before_torch() -> None:
    code = (
        "import os, sys; from inkwash.cli import main; main(['version']); "
        "assert 'torch' not in sys.modules; print(os.environ['PYTORCH_ALLOC_CONF'])"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTORCH_", "MALLOC_"))}
    environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    told = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "expandable_segments:True"
