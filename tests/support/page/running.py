"""The painting service in a process of its own, started, held and killed from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass
class Service:
    """A service in a process of its own, so that it can be ended as a crash would."""

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.support.page.service", str(self.folder), "--port", str(self.port)]
        path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
        self.process = subprocess.Popen([*command, *self.options], cwd=ROOT, env={**os.environ, "PYTHONPATH": path})
        while not self._answers():
            assert self.process.poll() is None, "the service ended"

    def kill(self) -> None:
        """As the power would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def post(self, path: str) -> None:
        urllib.request.urlopen(urllib.request.Request(self.url + path, method="POST"), timeout=30).close()

    def hold(self, step: int) -> None:
        """Painting stops before this step of any picture until ``go``."""
        self.post(f"test/hold/{step}")

    def go(self) -> None:
        self.post("test/go")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "health", timeout=5):
                return True
        except OSError:
            return False


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
