"""deploy/nginx.conf in nginx itself, before a server that really listens: TLS, names, events, large uploads."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.server.running import running
from tests.support.service import PaintingService

from inkwash.core.server_table import ServerTable

NGINX, OPENSSL = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"), shutil.which("openssl")
CONF = Path(__file__).resolve().parents[2] / "deploy" / "nginx.conf"
NAME, USER, PASSWORD = "draw.example.org", "me", "a long password"
CERTIFICATES = "/etc/letsencrypt/live/draw.example.org"

pytestmark = pytest.mark.skipif(not (NGINX and OPENSSL), reason="needs nginx and openssl")

AROUND = """{user}
daemon off;
master_process on;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@dataclass(frozen=True)
class Front:
    """nginx, as clients reach it: ``get`` and ``post`` with the name and the certificate checked."""

    painting: PaintingService
    client: httpx2.Client
    plain: int  # the port without TLS
    base: str


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def configure(folder: Path, tls: int, plain: int, upstream: int) -> Path:
    """The file as it is, with this machine's ports and a certificate of our own in the places it names."""
    subprocess.run(
        [str(OPENSSL), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    text = CONF.read_text(encoding="utf-8")
    for told, here in (
        (CERTIFICATES, str(folder)),
        ("listen 443 ssl", f"listen 127.0.0.1:{tls} ssl"),
        ("listen [::]:443 ssl;\n", "\n"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
        ("listen [::]:80;\n", "\n"),
        ("http://127.0.0.1:7860", f"http://127.0.0.1:{upstream}"),
    ):
        assert told in text
        text = text.replace(told, here)
    (folder / "site.conf").write_text(text, encoding="utf-8")
    around = folder / "nginx.conf"
    around.write_text(AROUND.format(folder=folder, user="user root;" if os.geteuid() == 0 else ""), encoding="utf-8")
    return around


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    painting = PaintingService(folder / "data", folder / "outputs", queue=20)
    tls, plain = free_ports(2)
    with running(folder, painting, passwords=f"{USER}:{PASSWORD}", allowed_hosts=(NAME,)) as (port, _):
        arguments = [str(NGINX), "-p", str(folder), "-c", str(configure(folder, tls, plain, port))]
        check = subprocess.run([*arguments, "-t"], capture_output=True, text=True, check=False)
        assert check.returncode == 0, check.stderr
        assert "[warn]" not in check.stderr.replace('[warn] the "user" directive', "")
        process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
        trust = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
        trust.check_hostname = False  # the name is sent, and resolves nowhere
        base = f"https://127.0.0.1:{tls}"
        retrying = httpx2.HTTPTransport(verify=trust, retries=5)  # until it listens
        headers = {"host": NAME}
        try:
            with httpx2.Client(
                base_url=base, transport=retrying, headers=headers, auth=(USER, PASSWORD), timeout=60
            ) as client:
                yield Front(painting, client, plain, base)
        finally:
            process.terminate()
            process.wait(30)


def test_a_picture_is_drawn_through_it(front: Front) -> None:
    answer = front.client.post("/sdapi/v1/txt2img", json={"prompt": "a cat", "steps": 2, "width": 64, "height": 64})
    assert answer.status_code == 200, answer.text
    assert base64.b64decode(answer.json()["images"][0]).startswith(b"\x89PNG")


def test_names_and_passwords_are_still_checked(front: Front) -> None:
    options = "/sdapi/v1/options"
    assert front.client.get(options).status_code == 200
    assert front.client.get(options, auth=None).status_code == 401
    assert front.client.get(options, auth=(USER, "wrong")).status_code == 401
    own, foreign = ({"origin": f"https://{name}"} for name in (NAME, "evil.example"))
    assert front.client.post(options, json={}, headers=own).status_code == 200
    assert front.client.post(options, json={}, headers=foreign).status_code == 403


def test_who_comes_without_tls_is_sent_on(front: Front) -> None:
    answer = httpx2.get(f"http://127.0.0.1:{front.plain}/x?y=1", headers={"host": NAME})
    assert (answer.status_code, answer.headers["location"]) == (301, f"https://{NAME}/x?y=1")


def test_events_arrive_while_the_job_is_drawn(front: Front) -> None:
    """The first event comes through before the job may go on: nothing is held back until an answer is whole."""
    front.painting.let_go.clear()
    try:
        job = front.client.post("/api/v1/jobs", json={"request": {"prompt": "a cat", "steps": 2}}).json()
        events = []
        with front.client.stream("GET", f"/api/v1/jobs/{job['id']}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    events.append(line.removeprefix("event: "))
                    front.painting.let_go.set()  # only now may the job go on
        assert events[0] == events[-1] == "job"
        assert len(events) > 1
    finally:
        front.painting.let_go.set()


def test_uploads_pass_up_to_the_services_own_bound(front: Front) -> None:
    """body_mb says how much; both refuse what is larger, in time."""
    largest = ServerTable().body_mb * 2**20
    near, beyond = (b'{"image": "' + b"a" * size + b'"}' for size in (largest - 100, largest + 100))
    headers = {"content-type": "application/json"}
    passed = front.client.post("/sdapi/v1/png-info", content=near, headers=headers)
    assert passed.status_code not in (413, 502, 504)
    assert "error" in passed.json()  # the service's own answer: that is no picture
    assert front.client.post("/sdapi/v1/png-info", content=beyond, headers=headers).status_code == 413
