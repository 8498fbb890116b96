"""One server over a painting service, talked to as HTTP clients do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.support.service import PaintingService

from inkwash.core.limits import Limits
from inkwash.core.server_table import ServerTable
from inkwash.core.settings import Settings
from inkwash.server.accounts import Attempts
from inkwash.server.app import create_app, open_context
from inkwash.server.context import Context

BASE = "http://127.0.0.1:7860"
Opened = Callable[..., TestClient]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKWASH_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    library = tmp_path / "library"
    library.mkdir()
    (library / "styles.csv").write_text('name,prompt,negative_prompt\nink,"{prompt}, ink wash",colour\n')
    return Settings(library, tmp_path / "outputs", tmp_path / "data", limits=Limits(steps=200, side=2048))


@pytest.fixture
def service(settings: Settings) -> Iterator[PaintingService]:
    painting = PaintingService(settings.data_dir, settings.outputs_dir, queue=20, models_dir=settings.models_dir)
    painting.start()
    yield painting
    painting.stop()


@pytest.fixture
def opened(settings: Settings, service: PaintingService) -> Iterator[Opened]:
    """Opens a client of a server with the given [server] table."""
    from dataclasses import replace

    clients: list[TestClient] = []

    def open_client(attempts: int = 1_000_000, **table: object) -> TestClient:
        changed = replace(settings, server=ServerTable(**table))  # type: ignore[arg-type]
        app = create_app(open_context(changed, service, attempts=Attempts(attempts)))
        client = TestClient(app, base_url=BASE, raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(opened: Opened) -> TestClient:
    return opened()


def context_of(client: TestClient) -> Context:
    context: Context = client.app.state.context  # type: ignore[attr-defined]
    return context
