"""The page in a real Chromium, on a service of its own whose worker paints by arithmetic."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright
from tests.support.page.running import BROWSERS, ROOT, Service, free_port

__all__ = ["ROOT", "Open", "Service", "running"]

expect.set_options(timeout=15_000)  # two busy cores; what is waited for comes in a fraction of it


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
    service = Service(folder, free_port(), ("--side", "96", *options))
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
