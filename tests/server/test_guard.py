"""Every route, asked by those who should not get an answer."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.support.service import PaintingService

from inkwash.core.server_table import ServerTable
from inkwash.core.settings import BadSettings
from inkwash.server import app as application
from inkwash.server.accounts import COOKIE, Accounts
from inkwash.server.guard import OPEN
from inkwash.server.listening import CannotListen, check_public, listen
from inkwash.server.places import rules
from inkwash.server.sessions import Sessions

EVERYBODYS = sorted(OPEN - {"/", "/api/v1/login"})  # what answers without a password: nothing of anybody's
OTHERS = [("GET", "/openapi.json"), ("GET", "/nothing"), ("POST", "/sdapi/v1/server-kill")]
ROUTES = sorted(
    (method, route.path)
    for router in application.ROUTERS
    for route in router.routes
    if isinstance(route, Route)
    for method in route.methods or ()
)


STRANGERS: tuple[dict[str, Any], ...] = (
    {},
    {"auth": ("ann", "wrong")},
    {"auth": ("eve", "secret")},
    {"headers": {"cookie": f"{COOKIE}=YW5u.99999999999.0"}},
    {"headers": {"authorization": "Bearer ann:secret"}},
    {"headers": {"authorization": "Basic !!"}},
)


def asked(client: TestClient, method: str, path: str, **more: Any) -> Any:
    concrete = path.replace("{name:path}", "x").replace("{job}", "x").replace("{picture}", "x").replace("{name}", "x")
    body = None if method == "GET" else {}
    return client.request(method, concrete, json=body, **more)


def test_the_walk_sees_the_routes() -> None:
    assert len(ROUTES) > 80
    assert ("POST", "/sdapi/v1/txt2img") in ROUTES
    assert ("DELETE", "/api/v1/pictures/{picture}") in ROUTES


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One server with accounts for the whole walk; nothing that is asked of it should reach it."""
    from inkwash.core.settings import Settings
    from inkwash.server.accounts import Attempts

    folder: Path = tmp_path_factory.mktemp("guarded")
    service = PaintingService(folder / "data", folder / "outputs")
    settings = Settings(folder, folder / "outputs", folder / "data", server=ServerTable(passwords="ann:secret"))
    context = application.open_context(settings, service, attempts=Attempts(10**6))
    with TestClient(
        application.create_app(context), base_url="http://127.0.0.1:7860", raise_server_exceptions=False
    ) as client:
        yield client
    service.stop()


@pytest.mark.parametrize(("method", "path"), [*ROUTES, *OTHERS])
def test_no_route_answers_strangers(guarded: TestClient, method: str, path: str) -> None:
    login = path == "/api/v1/login"
    for more in STRANGERS:
        answer = asked(guarded, method, path, **more)
        if path in EVERYBODYS:
            assert answer.status_code == 200
        else:
            assert answer.status_code == (422 if login else 401), more
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "file://"},
        {"host": "evil.example"},
        {"host": "evil.example:7860"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "10.0.0.5:7860"},
        {"host": ""},
    ):
        answer = asked(guarded, method, path, headers=headers, auth=("ann", "secret"))
        assert answer.status_code == 403, headers
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_right_password_opens(guarded: TestClient) -> None:
    assert guarded.get("/api/v1/jobs", auth=("ann", "secret")).status_code == 200
    ours = {"origin": "http://127.0.0.1:7860"}
    assert guarded.get("/api/v1/jobs", auth=("ann", "secret"), headers=ours).status_code == 200
    assert "Basic" in guarded.get("/api/v1/jobs").headers["www-authenticate"]
    from_the_page = guarded.get("/api/v1/jobs", headers={"sec-fetch-mode": "cors"})
    assert "www-authenticate" not in from_the_page.headers


def test_the_pages_session(guarded: TestClient) -> None:
    assert guarded.get("/api/v1/session", headers={"accept-language": "fr, zh-CN;q=0.9"}).json() == {
        "user": None, "login_needed": True, "language": "zh",
    }  # fmt: skip
    wrong = guarded.post("/api/v1/login", json={"user": "ann", "password": "x"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "wrong_password")
    right = guarded.post("/api/v1/login", json={"user": "ann", "password": "secret"})
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert guarded.get("/api/v1/session").json() == {"user": "ann", "login_needed": False, "language": "en"}
    assert guarded.get("/api/v1/jobs").status_code == 200
    copied = cookie.split(";")[0]
    guarded.post("/api/v1/logout")
    assert guarded.get("/api/v1/jobs").status_code == 401
    assert guarded.get("/api/v1/jobs", headers={"cookie": copied}).status_code == 401  # whoever still has it


def test_sessions_outlive_a_restart_and_end_one_by_one(tmp_path: Path) -> None:
    file, now = tmp_path / "data" / "sessions.json", [1000.0]

    def accounts(passwords: str = "ann:secret") -> Accounts:
        sessions = Sessions(file, clock=lambda: now[0])
        return Accounts(passwords, b"k" * 32, sessions, clock=lambda: now[0])

    first, second = (accounts().cookie_of("ann") for _ in range(2))
    assert [accounts().user_of_cookie(cookie) for cookie in (first, second)] == ["ann", "ann"]
    accounts().end(first)
    assert [accounts().user_of_cookie(cookie) for cookie in (first, second)] == [None, "ann"]
    assert accounts("ann:changed").user_of_cookie(second) is None
    accounts().end(second[:-1] + ("0" if second[-1] != "0" else "1"))  # a forged one ends nobody's session
    assert accounts().user_of_cookie(second) == "ann"
    now[0] += 31 * 24 * 3600
    accounts().cookie_of("ann")
    assert len(json.loads(file.read_bytes())) == 1  # what has ended is forgotten
    file.write_bytes(b"[1, 2")
    assert accounts().user_of_cookie(second) is None


def test_cookies_end_with_time_and_password() -> None:
    now = [1000.0]
    sessions = Sessions(clock=lambda: now[0])
    accounts = Accounts("ann:secret,bob:b", b"k" * 32, sessions, clock=lambda: now[0])
    cookie = accounts.cookie_of("ann")
    assert accounts.user_of_cookie(cookie) == "ann"
    assert Accounts("ann:other", b"k" * 32, sessions, clock=lambda: now[0]).user_of_cookie(cookie) is None
    assert Accounts("ann:secret", b"x" * 32, sessions, clock=lambda: now[0]).user_of_cookie(cookie) is None
    assert accounts.user_of_cookie(cookie.replace("YW5u", "Ym9i")) is None
    now[0] += 31 * 24 * 3600
    assert accounts.user_of_cookie(cookie) is None


def test_guessing_has_an_end(opened: Any) -> None:
    client = opened(attempts=3, passwords="ann:secret")
    for _ in range(3):
        assert client.get("/api/v1/jobs", auth=("ann", "x")).status_code == 401
    answer = client.get("/api/v1/jobs", auth=("ann", "secret"))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert client.post("/api/v1/login", json={"user": "ann", "password": "secret"}).status_code == 429


def test_large_and_packed_bodies_are_refused_unread(opened: Any) -> None:
    client = opened(body_mb=1)
    assert client.post("/api/v1/tokens", content=b"x" * (2**20 + 1)).status_code == 413
    assert client.post("/api/v1/tokens", headers={"content-length": "99999999"}, content=b"").status_code == 413

    def pieces() -> Iterator[bytes]:
        while True:  # without a length in front; ends when it is refused
            yield b"x" * 2**16

    taken: list[int] = []

    def counted() -> Iterator[bytes]:
        for piece in pieces():
            taken.append(len(piece))
            if sum(taken) > 2**22:
                return
            yield piece

    assert client.post("/api/v1/tokens", content=counted()).status_code == 413
    packed = gzip.compress(b'{"prompt": "' + b"x" * 10**6 + b'"}')
    answer = client.post("/api/v1/tokens", content=packed, headers={"content-encoding": "gzip"})
    assert answer.status_code == 415


def png(width: int, height: int, text: bytes = b"") -> bytes:
    """A small file that claims to be large; the pixels are not there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packed = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(text, 9)) if text else b""
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 16))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + packed + pixels + chunk(b"IEND", b"")


def test_bombs_and_rubbish_are_words(client: TestClient) -> None:
    for bomb in (png(60_000, 60_000), png(12_000, 12_000), png(8, 8, text=b"x" * 2**24)):
        assert len(bomb) < 20_000
        answer = client.post("/api/v1/inspect", content=bomb)
        assert answer.status_code == 422, answer.text
    headers = {"content-type": "application/json"}
    for body in (b"[" * 100_000, b"{", b"\xff", b'{"prompt": ' + b"9" * 5000 + b"}", b'"\\ud800"'):
        for path in ("/api/v1/tokens", "/api/v1/jobs", "/sdapi/v1/txt2img", "/sdapi/v1/options", "/api/v1/inspect"):
            answer = client.post(path, content=body, headers=headers)
            assert 400 <= answer.status_code < 500, (path, body[:20])
            assert "Traceback" not in answer.text
    lone = json.dumps({"request": {"prompt": "\ud800"}}).encode()
    assert client.post("/api/v1/jobs", content=lone, headers=headers).status_code == 422


def test_a_defect_leaves_no_traceback(client: TestClient, service: PaintingService, monkeypatch: Any) -> None:
    monkeypatch.setattr(service.desk, "list", lambda **_: 1 / 0)
    for path in ("/api/v1/jobs", "/internal/pending-tasks"):
        answer = client.get(path)
        assert answer.status_code == 500
        assert "ZeroDivision" not in answer.text
        assert "Traceback" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_outside_is_handed_out(client: TestClient, service: PaintingService, tmp_path: Path) -> None:
    """Even if the database were to name it."""
    job = client.post("/api/v1/jobs", json={"request": {"prompt": "a"}}).json()["id"]
    with client.stream("GET", f"/api/v1/jobs/{job}/events") as stream:
        list(stream.iter_lines())
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    path = service.pictures.get(f"{job}-0").path
    path.unlink()
    assert client.get(f"/api/v1/pictures/{job}-0/file").status_code == 404
    path.symlink_to(secret)
    assert client.get(f"/api/v1/pictures/{job}-0/file").status_code == 404


@pytest.mark.parametrize(
    ("host", "allowed", "asked_for", "known"),
    [
        ("127.0.0.1", (), "localhost:7860", True),
        ("127.0.0.1", (), "127.0.0.1", True),
        ("127.0.0.1", (), "[::1]:7860", True),
        ("127.0.0.1", (), "192.168.1.5:7860", False),
        ("127.0.0.1", (), "evil.example", False),
        ("127.0.0.1", ("draw.example",), "DRAW.example.", True),
        ("0.0.0.0", (), "192.168.1.5:7860", True),
        ("0.0.0.0", (), "evil.example:7860", False),
        ("0.0.0.0", (), "user@localhost", False),
        ("0.0.0.0", (), "localhost:port", False),
    ],
)
def test_which_names_are_ours(host: str, allowed: tuple[str, ...], asked_for: str, known: bool) -> None:
    assert rules(host, allowed, 1).knows(asked_for) is known


@pytest.mark.parametrize(
    "table", [{"host": "0.0.0.0"}, {"host": "::"}, {"host": "10.0.0.1"}, {"allowed_hosts": ("a.example",)}]
)
def test_no_public_service_without_a_password(table: dict[str, Any]) -> None:
    with pytest.raises(BadSettings, match="password"):
        check_public(ServerTable(**table))
    check_public(ServerTable(**table, passwords="a:b"))
    check_public(ServerTable())


def test_a_port_in_use_is_told_in_words() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(CannotListen, match="in use"):
        listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("text", ["ann", "ann:", ":x", "ann;x"])
def test_senseless_passwords_are_told(text: str) -> None:
    with pytest.raises(BadSettings, match="user:password"):
        Accounts(text, b"")
