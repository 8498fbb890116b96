"""Restoring faces on the page: offered where the service knows the field and the machine has a restorer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect
from tests.support.page import scenery
from tests.web.conftest import Open, Service, Visitor

FIELD = {
    "name": "restore_faces", "kind": "choice", "default": None, "minimum": None, "maximum": None, "step": None,
    "choices": ["Automatic"], "source": "face restorers", "group": "picture", "level": "advanced",
    "label": {"en": "Restore faces", "zh": "面部修复"}, "help": {"en": "After drawing.", "zh": "画完之后。"},
}  # fmt: skip


def knows(page: Page, *restorers: str) -> None:
    """From here on the service has the field, once, and these restorers."""

    def schema(route: Route) -> None:
        found: dict[str, Any] = route.fetch().json()
        others = [one for one in found["parameters"] if one["name"] != FIELD["name"]]
        route.fulfill(json=found | {"parameters": [*others, FIELD]})

    page.route("**/api/v1/schema", schema)
    page.route("**/api/v1/models", lambda one: one.fulfill(json=one.fetch().json() | {"face_restorers": restorers}))


def sent_from(visitor: Visitor) -> list[dict[str, Any]]:
    """What is handed in, which is refused."""
    sent: list[dict[str, Any]] = []

    def catch(route: Route) -> None:
        if route.request.method != "POST":
            return route.fallback()
        sent.append(json.loads(route.request.post_data or "{}")["request"])
        return route.fulfill(status=422, json={"error": "invalid_request", "message": "Enough.", "remedy": ""})

    visitor.page.route("**/api/v1/jobs", catch)
    visitor.allowed.append("422")
    return sent


@pytest.mark.parametrize("restorers", [(), ("GFPGANv1.4", "codeformer")])
def test_draw_restores_faces_where_it_can(visit: Open, shared: Service, restorers: tuple[str, ...]) -> None:
    visitor = visit(shared)
    knows(visitor.page, *restorers)
    sent = sent_from(visitor)
    page = visitor.open()
    page.locator("summary", has_text="Picture").first.click()
    expect(page.get_by_label("Tiling", exact=True)).to_be_visible()
    field = page.get_by_label("Restore faces", exact=True)
    expect(field).to_have_count(1 if restorers else 0)
    if restorers:
        assert field.locator("option").all_inner_texts() == ["none", "Automatic", *restorers]
        field.select_option("codeformer")
    visitor.draw("a face")
    expect(page.get_by_test_id("notice")).to_contain_text("Enough.")
    assert [one.get("restore_faces") for one in sent] == ["codeformer" if restorers else None]


def test_only_the_last_pass_of_an_enlarging_restores_faces(visit: Open, service: Service, tmp_path: Path) -> None:
    visitor = visit(service)
    page = visitor.page
    scenery.landscape(3, 96, 64).save(tmp_path / "source.png")
    page = visitor.open("enlarge")
    page.locator("#enlarge-file").set_input_files(tmp_path / "source.png")
    plan = page.get_by_test_id("plan").get_by_role("listitem")
    expect(plan).to_have_count(3)
    expect(page.locator("#enlarge-faces")).to_have_count(0)
    knows(page, "GFPGANv1.4")
    page.reload()
    page.locator("#enlarge-faces").select_option("GFPGANv1.4")
    page.locator("#enlarge-upscaler").select_option("Lanczos")
    page.locator(".segments label", has_text="Times").click()
    page.locator("#enlarge-scale").fill("2")
    expect(plan).to_have_count(1)
    sent = sent_from(visitor)
    page.get_by_test_id("enlarge").click()
    expect(page.get_by_test_id("notice")).to_contain_text("Enough.")
    page.locator("#enlarge-redraw").uncheck()
    expect(plan).to_contain_text("Lanczos")
    with page.expect_response("**/api/v1/jobs"):
        page.get_by_test_id("enlarge").click()
    assert [one["restore_faces"] for one in sent] == ["GFPGANv1.4", "GFPGANv1.4"]
    assert "upscaler" in sent[1]
