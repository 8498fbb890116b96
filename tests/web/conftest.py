"""The page in a real Chromium, on a service of its own whose worker paints by arithmetic."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not there; the page is not tested")
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
expect.set_options(timeout=15_000)  # two busy cores; what is waited for comes in a fraction of it


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
        command += ["--side", "96"]
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


@dataclass
class Visitor:
    """A page and what went wrong on it.  Console errors that a test expects are named in ``allowed``."""

    page: Page
    service: Service
    trouble: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", lambda message: message.type in ("error", "warning") and self._note(message.text))
        self.page.on("pageerror", lambda error: self._note(str(error)))
        self.page.on("request", self._stays_here)

    def open(self, tab: str = "draw") -> Page:
        self.page.goto(f"{self.service.url}#/{tab}")
        expect(self.page.locator("nav a[aria-current]")).to_have_count(1)
        return self.page

    def draw(self, prompt: str, **numbers: int) -> None:
        """Fills the form and presses Draw."""
        self.page.locator("#box-prompt").fill(prompt)
        for name, value in numbers.items():
            self.page.locator(f"#field-{name}").fill(str(value))
        self.page.get_by_test_id("draw").click()

    def _note(self, text: str) -> None:
        self.trouble.append(text)

    def _stays_here(self, request: Request) -> None:
        if not request.url.startswith((self.service.url, "data:", "blob:" + self.service.url)):
            self._note(f"a request to {request.url}")

    def unexpected(self) -> list[str]:
        return [line for line in self.trouble if not any(part in line for part in self.allowed)]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium; `make browser` installs it where apt is")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests that leave it as it is."""
    yield from running(tmp_path_factory.mktemp("service"))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service of the test's own."""
    yield from running(tmp_path)


def running(folder: Path, *options: str) -> Iterator[Service]:
    service = Service(folder, free_port(), options)
    service.start()
    yield service
    service.kill()


Open = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Opens pages of fresh browsers; at the end nothing may have gone wrong on any."""
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def opens(
        service: Service, language: str = "en-GB", width: int = 1280, height: int = 800, scheme: str = "light"
    ) -> Visitor:
        context = browser.new_context(
            locale=language, viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )  # type: ignore[arg-type]
        contexts.append(context)
        visitor = Visitor(context.new_page(), service)
        visitor.watch()
        visitors.append(visitor)
        return visitor

    yield opens
    trouble = [line for visitor in visitors for line in visitor.unexpected()]
    for context in contexts:
        context.close()
    assert trouble == []
