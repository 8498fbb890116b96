"""What finds faces: its weights are read once, into a cache that goes away."""

from __future__ import annotations

import pytest

from inkwash.imaging.faces import FaceFinder, finder


@pytest.fixture(scope="session")
def find(tmp_path_factory: pytest.TempPathFactory) -> FaceFinder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INKWASH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return finder()
