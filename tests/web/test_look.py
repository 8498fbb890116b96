"""Languages, light and dark, a phone's width, the keyboard, and how soon the page is there."""

from __future__ import annotations

import json
import time

import pytest
from playwright.sync_api import Page, expect
from tests.web.conftest import ROOT, Open, Service

from inkwash.core.choices import SCHEDULES

TABS = ("draw", "edit", "sweep", "gallery", "info", "how", "models", "machine", "settings")


def words(language: str) -> dict[str, str]:
    table: dict[str, list[str]] = json.loads((ROOT / "ui/src/words.json").read_text(encoding="utf-8"))
    return {key: texts[("en", "zh").index(language)] for key, texts in table.items()}


def test_the_language_is_the_browsers_until_one_chooses(visit: Open, shared: Service) -> None:
    chinese = visit(shared, "zh-CN").open()
    expect(chinese.get_by_test_id("draw")).to_have_text("开始画")
    assert chinese.evaluate("document.documentElement.lang") == "zh-CN"
    chinese.get_by_test_id("language").click()
    expect(chinese.get_by_test_id("draw")).to_have_text("Draw")
    chinese.reload()
    expect(chinese.get_by_test_id("draw")).to_have_text("Draw")
    expect(visit(shared, "de-DE").open().get_by_test_id("draw")).to_have_text("Draw")


def test_every_tab_is_wholly_in_the_language_and_fits_a_phone(visit: Open, shared: Service) -> None:
    english = set(words("en").values()) - set(words("zh").values()) - {*SCHEDULES, "中文"}
    page = visit(shared, "zh-CN", width=390, height=844).open()
    expect(page.locator("#field-steps")).to_be_visible()
    for tab in TABS:
        page.goto(f"{shared.url}#/{tab}")
        expect(page.locator("nav a[aria-current]")).to_have_text(words("zh")[f"tab.{tab}"])
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        lines = {line.strip() for line in page.locator("body").inner_text().splitlines()}
        assert lines & english == set(), tab
        assert page.evaluate("document.documentElement.scrollWidth") == 390, tab


def test_light_and_dark_follow_the_system_and_can_be_chosen(visit: Open, shared: Service) -> None:
    page = visit(shared, scheme="dark").open()
    dark = background(page)
    page.get_by_test_id("theme").click()  # from "as the system" to light
    light = background(page)
    assert sum(dark) < 200 < 600 < sum(light)
    page.reload()
    assert background(page) == light


def background(page: Page) -> tuple[int, ...]:
    text = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    return tuple(int(part) for part in text.removeprefix("rgb(").removesuffix(")").split(","))


def test_everything_is_reached_by_keyboard_and_has_a_name(visit: Open, shared: Service) -> None:
    page = visit(shared).open()
    expect(page.locator("#field-steps")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.evaluate("document.querySelector('#box-prompt').focus()")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.testid") == "draw":
            break
    expect(page.get_by_test_id("draw")).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    for tab in TABS:
        page.goto(f"{shared.url}#/{tab}")
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        assert page.evaluate(NAMELESS) == [], tab


NAMELESS = """() => [...document.querySelectorAll('button, a[href], input, select, textarea')].filter((one) => {
  const labels = one.labels ? [...one.labels].map((label) => label.textContent).join('') : '';
  const ids = (one.getAttribute('aria-labelledby') ?? '').split(' ');
  const by = ids.map((id) => document.getElementById(id)?.textContent ?? '');
  return !(one.textContent + labels + by.join('') + (one.getAttribute('aria-label') ?? '')).trim();
}).map((one) => one.outerHTML.slice(0, 200))"""


def test_motion_stands_still_for_who_asks_for_it(visit: Open, shared: Service) -> None:
    """The browsers of these tests prefer reduced motion."""
    page = visit(shared).open()
    durations = page.evaluate("[...document.querySelectorAll('*')].map((o) => getComputedStyle(o).transitionDuration)")
    assert all(float(part.strip().removesuffix("s")) < 0.001 for line in durations for part in line.split(","))


@pytest.mark.slow
def test_the_first_load_takes_less_than_a_second_and_a_half(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    began = time.monotonic()
    page = visitor.open()
    expect(page.locator("#field-steps")).to_be_visible()
    assert time.monotonic() - began < 1.5
