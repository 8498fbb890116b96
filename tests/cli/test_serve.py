"""``inkwash serve``: what is told before anything starts, and one whole run as people start it."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

from inkwash.cli import main
from inkwash.core.errors import InkwashError
from inkwash.jobs import service, worker
from inkwash.jobs.bench import RemoteBench
from inkwash.jobs.service import Setup
from inkwash.jobs.studio import Studio
from inkwash.jobs.wire import Connection


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["serve", *arguments]) == 1
    return capsys.readouterr().err


def test_no_public_address_without_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert "password" in told(capsys, "--host", "0.0.0.0")


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = told(capsys, "--port", str(port))
    assert f"Port {port} is in use" in words
    assert f"--port {port + 1}" in words


def test_wrong_settings_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "inkwash.toml"
    monkeypatch.setenv("INKWASH_CONFIG", str(file))
    for text, word in (
        ("[server]\nprot = 1", "port"),
        ('[server]\nport = "x"', "whole number"),
        ("[server]\nport = 99999", "65535"),
        ("[server]\nmetrics = 1", "true or false"),
        ('[server]\nallowed_hosts = "x"', "list"),
        ("[server]\npasswords = 3", "text"),
        ('[server]\npasswords = "secretword"', "user:password"),
        ("server = 1", "table"),
    ):
        file.write_text(text)
        words = told(capsys)
        assert word in words
        assert "secretword" not in words


@pytest.mark.parametrize("command", ["serve", "webui"])
def test_memory_reaches_the_worker(command: str, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setups: list[Setup] = []

    def no_service(setup: Setup) -> None:
        setups.append(setup)
        raise InkwashError("Enough is known.", "Stop here.")

    monkeypatch.setattr(service, "Service", no_service)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    flags = ["--port", port, "--memory-policy", "sequential", "--memory-limit", "2.5"]
    assert main([command, *flags, "--device", "cpu", "--models-dir", str(folders)]) == 1
    sent = json.loads(service.command(setups[0])[-1])
    studio = worker._studio(RemoteBench(Connection(io.BytesIO(), io.BytesIO())), sent)
    assert isinstance(studio, Studio)
    assert (studio.engine.memory.policy, studio.engine.stock.limit) == ("sequential", 2_500_000_000)


def test_a_wrong_memory_policy_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "sequential" in told(capsys, "--memory-policy", "sequentially")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_served_drawn_and_stopped(tmp_path: Path) -> None:
    """The whole road: the command, its worker process, the model in the box, a picture, SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INKWASH_")}
    environment |= {"INKWASH_DATA_DIR": str(tmp_path / "data"), "INKWASH_OUTPUTS_DIR": str(tmp_path / "outputs"),
                    "INKWASH_MODELS_DIR": str(tmp_path), "INKWASH_CACHE_DIR": str(tmp_path / "cache"),
                    "PYTHONPATH": os.pathsep.join(sys.path)}  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "inkwash", "serve", "--port", str(port)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(120, process.kill)
    guard.start()
    try:
        assert process.stderr is not None
        assert f"http://127.0.0.1:{port}" in process.stderr.readline()
        body = {"prompt": "a cat", "steps": 2, "width": 64, "height": 64, "seed": 1, "save_images": True}
        answer = httpx2.post(f"http://127.0.0.1:{port}/sdapi/v1/txt2img", json=body, timeout=100)
        assert answer.status_code == 200, answer.text
        assert len(list((tmp_path / "outputs").rglob("*.png"))) == len(answer.json()["images"]) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        guard.cancel()
        process.kill()
        process.wait()
