"""A hub of models on this machine: the part of Hugging Face's HTTP interface that pulling needs, and its troubles."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 2**16  # bytes from which a file is in LFS, behind a redirect to another host


@dataclass
class Asked:
    """One request for a file's bytes, as the store of large files saw it."""

    path: str
    range: str | None
    authorization: str | None


@dataclass
class FakeHub:
    """repositories: "owner/name" -> file -> bytes.  cuts: after how many bytes each coming answer breaks off.

    stated: checksums that are told instead of the right ones.  token: what gated repositories want to see.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    cuts: list[int] = field(default_factory=list)
    stated: dict[str, str] = field(default_factory=dict)
    token: str = "hf_let_me_in"
    ranges: bool = True
    status: int = 0  # answer everything with it
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    store: str = ""

    def described(self, name: str) -> dict[str, Any]:
        siblings = [self._sibling(file, data) for file, data in self.repositories[name].items()]
        return {"id": name, "modelId": name, "sha": COMMIT, "private": False, "siblings": siblings, "tags": []}

    def _sibling(self, file: str, data: bytes) -> dict[str, Any]:
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        told: dict[str, Any] = {"rfilename": file, "size": len(data), "blobId": blob}
        if len(data) >= LARGE:
            digest = self.stated.get(file) or hashlib.sha256(data).hexdigest()
            told["lfs"] = {"size": len(data), "sha256": digest, "pointerSize": 134}
        return told


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """Two servers: the hub, and the store of large files it sends people to."""
    hub = FakeHub()
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub, kind)) for kind in (_Hub, _Store)]
    hub.url = f"http://127.0.0.1:{servers[0].server_port}"
    hub.store = f"http://localhost:{servers[1].server_port}"
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield hub
    for server in servers:
        server.shutdown()
        server.server_close()


def _handler(hub: FakeHub, kind: type[_Answering]) -> type[_Answering]:
    return type("Handler", (kind,), {"hub": hub})


class _Answering(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests' output is for the tests."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, data: bytes) -> None:
        """With Range, as far as the hub understands it, and broken off where it is told to."""
        asked = self.headers.get("Range") if self.hub.ranges else None
        start, end = 0, len(data) - 1
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last), end) if last else end
        body = data[start : end + 1]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(data)}")
        self.end_headers()
        whole = not asked or not asked.rsplit("-", 1)[-1]
        cut = self.hub.cuts.pop(0) if self.hub.cuts and whole else len(body)
        with suppress(ConnectionError):  # who asked may have heard enough
            self.wfile.write(body[:cut])
        self.close_connection = self.close_connection or cut < len(body)


class _Hub(_Answering):
    def do_GET(self) -> None:
        path, hub = self.path.split("?")[0], self.hub
        if hub.status:
            return self.answer(hub.status)
        api = path.startswith("/api/models/")
        name, _, inner = path.removeprefix("/api/models/").strip("/").partition("/resolve/")
        if name not in hub.repositories:
            return self.answer(401, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        if api:
            return self.answer(200, json.dumps(hub.described(name)).encode(), Content_Type="application/json")
        if name in hub.gated and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self.answer(403, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted")
        commit, _, file = inner.partition("/")
        data = hub.repositories[name].get(file)
        if commit != COMMIT or data is None:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found")
        if len(data) < LARGE:
            return self.send_file(data)
        linked = {"X_Linked_Etag": hashlib.sha256(data).hexdigest(), "X_Linked_Size": str(len(data))}
        return self.answer(302, X_Repo_Commit=COMMIT, Location=f"{hub.store}/{name}/{file}?signed=1", **linked)


class _Store(_Answering):
    def do_GET(self) -> None:
        path = self.path.split("?")[0].strip("/")
        self.hub.asked.append(Asked(path, self.headers.get("Range"), self.headers.get("Authorization")))
        owner, name, file = path.split("/", 2)
        self.send_file(self.hub.repositories[f"{owner}/{name}"][file])
