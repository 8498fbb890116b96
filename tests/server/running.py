"""A real uvicorn on a free port of this machine, in a thread of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.service import PaintingService

from inkwash.core.server_table import ServerTable
from inkwash.core.settings import Settings
from inkwash.jobs.service import Service
from inkwash.server.app import create_app, open_context
from inkwash.server.listening import Server, listen, make_room


@contextmanager
def running(folder: Path, service: PaintingService | Service, **table: object) -> Iterator[tuple[int, Server]]:
    """The port it listens on, and the server.  The service is started and stopped with it."""
    make_room()
    listener = listen("127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    serving = ServerTable(port=port, **table)  # type: ignore[arg-type]
    context = open_context(Settings(folder, folder / "outputs", folder / "data", server=serving), service)
    up = threading.Event()
    server = Server(create_app(context), context, up.set)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    service.start()
    thread.start()
    assert up.wait(30)
    try:
        yield port, server
    finally:
        server.should_exit = True
        thread.join(30)
        service.stop()
        assert not thread.is_alive()
