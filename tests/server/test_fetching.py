"""Addresses of pictures: only the public internet, checked on what is connected to, at every redirect."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from inkwash.core.errors import InvalidRequest
from inkwash.server import fetching


class Pages(BaseHTTPRequestHandler):
    """/cat is a picture; /to?URL redirects; /large never ends."""

    def do_GET(self) -> None:
        path, _, target = self.path.partition("?")
        self.send_response({"/cat": 200, "/to": 302, "/large": 200}.get(path, 404))
        if path == "/to":
            self.send_header("location", target)
        self.end_headers()
        if path == "/cat":
            self.wfile.write(b"a picture")
        if path == "/large":
            self.wfile.write(b"x" * 10_000)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that stands for the public one at 93.184.215.14, whatever name leads there."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connect, resolve = socket.create_connection, socket.getaddrinfo

    def resolved(host: str, *rest: Any, **more: Any) -> Any:
        return resolve("93.184.215.14" if host == "example.com" else host, *rest, **more)

    def connected(address: tuple[str, int], **more: Any) -> socket.socket:
        assert address == ("93.184.215.14", 80), "something else was connected to"
        return connect(server.server_address, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(fetching.socket, "getaddrinfo", resolved)
    monkeypatch.setattr(fetching.socket, "create_connection", connected)
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("pages")
def test_a_public_picture_comes() -> None:
    assert fetching.fetch("http://example.com/cat", 1000) == b"a picture"
    assert fetching.fetch("http://example.com/to?/cat", 1000) == b"a picture"


@pytest.mark.usefixtures("pages")
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/cat",
        "http://127.1/cat",
        "http://2130706433/cat",
        "http://[::1]/cat",
        "http://[::ffff:127.0.0.1]/cat",
        "http://10.0.0.1/cat",
        "http://192.168.1.1/cat",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://localhost/cat",
        "http://example.com:22/cat",
        "http://user:pass@example.com/cat",
        "file:///etc/passwd",
        "http://example.com/to?http://127.0.0.1/cat",
        "http://example.com/to?file:///etc/passwd",
        "http://example.com/to?http://example.com:6379/",
        "http://example.com/absent",
        "http://example.com/large",
        "http://example.com/ca t",
        "http://example.com/\u00e9",
        "http://",
    ],
)
def test_nothing_else_does(url: str) -> None:
    with pytest.raises(InvalidRequest, match="not followed"):
        fetching.fetch(url, 1000)


@pytest.mark.usefixtures("pages")
def test_redirects_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest, match="leads on"):
        fetching.fetch("http://example.com/to?" + "/to?" * 10 + "/cat", 1000)


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", ("93.184.215.14", 80)), (0, 0, 0, "", ("10.0.0.1", 80))]
    monkeypatch.setattr(fetching.socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(InvalidRequest, match="public"):
        fetching.public_address("example.com", 80)
