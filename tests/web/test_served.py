"""How the built page is served: its policy, its caching, its size."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from inkwash.web import add_page
from inkwash.web.page import STATIC


@pytest.fixture
def client() -> TestClient:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    add_page(app)
    return TestClient(app)


def assets() -> list[str]:
    return [f"/assets/{path.name}" for path in sorted((STATIC / "assets").iterdir())]


def test_the_policy_allows_files_of_this_host_only(client: TestClient) -> None:
    for path in ("/", *assets()):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy


def test_nothing_is_written_inline() -> None:
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", text) == []
    assert re.findall(r"(?:src|href)=\"(?!\./)", text) == []  # relative, so a prefix does no harm


def test_hashed_names_are_kept_for_ever_and_the_index_never(client: TestClient) -> None:
    assert client.get("/").headers["cache-control"] == "no-store"
    for path in assets():
        assert re.search(r"-[\w-]{8}\.\w+$", path), path
        assert "immutable" in client.get(path).headers["cache-control"]


def test_files_travel_packed_where_that_is_understood(client: TestClient) -> None:
    script = max(
        (path for path in assets() if path.endswith(".js")), key=lambda path: (STATIC / path[1:]).stat().st_size
    )
    plain = client.get(script, headers={"Accept-Encoding": "identity"})
    packed = client.get(script, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content == (STATIC / script.removeprefix("/")).read_bytes()
    assert packed.headers["content-type"].startswith("text/javascript")


def test_only_the_files_that_are_there_are_served(client: TestClient) -> None:
    for path in (
        "/index.html",
        "/assets/",
        "/assets/../index.html",
        "/assets/%2e%2e/%2e%2e/page.py",
        "/static/index.html",
    ):
        assert client.get(path).status_code == 404, path


def test_the_page_is_small() -> None:
    """What Draw needs comes first; the other tabs' parts are fetched one by one."""
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    first = [STATIC / name for name in re.findall(r"(?:src|href)=\"\./([^\"]+)\"", text)]
    assert len(first) >= 3
    assert packed(first) < 64 * 1024
    assert packed(path for path in Path(STATIC).rglob("*") if path.is_file()) < 112 * 1024


def packed(paths: Iterable[Path]) -> int:
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in paths)
