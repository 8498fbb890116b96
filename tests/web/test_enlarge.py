"""Enlarging on the page: the plan before anything is drawn, passes that follow one another, before and after."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.support.page import scenery
from tests.web.conftest import Open, Service, Visitor
from tests.web.test_edit import hand_over

from inkwash.core import images

TEXT = "a boat, best quality\nNegative prompt: fog\nSteps: 2, Sampler: Euler, CFG scale: 5, Seed: 4, Size: 96x64"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.png"
    images.save(scenery.landscape(3, 96, 64), path, TEXT)
    return path


def opened(visitor: Visitor, source: Path) -> Page:
    page = visitor.open("enlarge")
    page.locator("#enlarge-file").set_input_files(source)
    expect(page.get_by_test_id("plan")).to_be_visible()
    page.locator("#enlarge-upscaler").select_option("Lanczos")
    return page


def lines(page: Page) -> list[str]:
    return page.get_by_test_id("plan").get_by_role("listitem").all_inner_texts()


def aim(page: Page, where: str) -> None:
    page.locator(".segments label", has_text=where).click()


def test_the_plan_is_told_before_anything_is_drawn(visit: Open, shared: Service, source: Path) -> None:
    visitor = visit(shared)
    visitor.allowed.append("422")
    page = opened(visitor, source)
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.url.endswith("/jobs") and one.method == "POST" else None)
    expect(page.get_by_test_id("size")).to_have_text("96 × 64 pixels")
    plan = page.get_by_test_id("plan").get_by_role("listitem")
    expect(plan).to_have_count(3)  # 2048 is 21 times as long: three passes, each rounded to eighths
    expect(plan.last).to_contain_text("2048 × 1368")
    aim(page, "Times")
    page.locator("#enlarge-scale").fill("2")
    expect(plan).to_have_count(1)
    expect(plan).to_contain_text("192 × 128 enlarged by Lanczos, redrawn in 2 tiles by Mixture of Diffusers")
    expect(plan).to_contain_text("beside the model")
    expect(page.locator("#enlarge-prompt")).to_have_attribute("placeholder", "best quality")
    page.get_by_text("All of the picture's own prompt").click()
    expect(page.locator("#enlarge-prompt")).to_have_attribute("placeholder", "a boat, best quality")
    page.locator("#enlarge-redraw").click()
    expect(plan).to_have_text("192 × 128 enlarged by Lanczos")
    page.locator("#enlarge-scale").fill("0.5")
    expect(page.get_by_test_id("trouble")).to_contain_text("more than 1 times")
    assert sent == []


def test_passes_follow_one_another_even_over_a_reload(visit: Open, service: Service, source: Path) -> None:
    page = opened(visit(service), source)
    aim(page, "Other")
    page.locator("#enlarge-to").fill("512")
    expect(page.get_by_test_id("plan").get_by_role("listitem")).to_have_count(2)
    page.locator("#enlarge-strength").fill("0.2")
    expect(page.get_by_test_id("plan")).to_contain_text("strength 0.2")
    service.hold(2)
    page.get_by_test_id("enlarge").click()
    expect(page.get_by_test_id("status")).to_contain_text("Step 1 of 2")
    expect(page.get_by_test_id("pass").first).to_contain_text("%")
    page.reload()
    expect(page.get_by_test_id("plan")).to_contain_text("strength 0.2")
    service.go()
    expect(page.get_by_test_id("pass")).to_have_text(["Done", "Done"])
    result = page.get_by_test_id("picture")
    expect(result).to_have_count(1)
    expect(page.get_by_test_id("picture")).to_have_js_property("naturalWidth", 512)
    page.get_by_test_id("before").click()
    slider = page.get_by_test_id("compare")
    slider.focus()
    slider.press("ArrowRight")
    expect(slider).to_have_value("50.5")
    sizes = page.locator("dialog img").evaluate_all("(all) => all.map((one) => one.naturalWidth)")
    assert sizes == [96, 512]
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Gallery").click()
    expect(page.get_by_test_id("tile")).to_have_count(2)
    page.get_by_role("link", name="Picture to picture").click()
    expect(page.locator("ol.strip > li")).to_have_count(0)  # passes do not crowd the drawings out


def test_it_is_cancelled_and_gone_on_with(visit: Open, service: Service, source: Path) -> None:
    page = opened(visit(service), source)
    aim(page, "Other")
    page.locator("#enlarge-to").fill("512")
    expect(page.get_by_test_id("plan").get_by_role("listitem")).to_have_count(2)
    service.hold(1)
    page.get_by_test_id("enlarge").click()
    expect(page.get_by_test_id("pass")).to_have_count(1)
    page.get_by_test_id("cancel").click()
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
    expect(page.get_by_test_id("stop")).to_have_count(0)
    service.go()
    page.get_by_role("button", name="Draw again").click()
    expect(page.get_by_test_id("pass")).to_have_text(["Done", "Done"])


def test_a_picture_of_the_gallery_is_only_enlarged_and_hangs_there_again(visit: Open, service: Service) -> None:
    visitor = visit(service)
    visitor.open()
    visitor.draw("a hill, best quality", steps=1)
    page = visitor.page
    expect(page.get_by_test_id("picture")).to_have_count(1)
    page.get_by_role("link", name="Gallery").click()
    page.get_by_test_id("tile").click()
    page.get_by_role("button", name="Send to Enlarge").click()
    expect(page.get_by_test_id("source")).to_be_visible()
    page.locator("#enlarge-redraw").click()
    aim(page, "1024")
    page.locator("#enlarge-upscaler").select_option("Nearest")
    expect(page.get_by_test_id("plan")).to_contain_text("1024 × 1024 enlarged by Nearest")
    page.locator("#enlarge-upscaler").press("Control+Enter")
    expect(page.get_by_test_id("pass")).to_have_text("Done")
    expect(page.get_by_test_id("picture")).to_have_js_property("naturalWidth", 1024)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    told = images.read_metadata(Path(download.value.path()))
    assert told.infotext.startswith("a hill, best quality\n")
    page.get_by_role("button", name="Enlarge further").click()
    expect(page.get_by_test_id("size")).to_have_text("1024 × 1024 pixels")
    page.get_by_role("link", name="Gallery").click()
    expect(page.get_by_test_id("tile")).to_have_count(2)


def test_a_picture_is_pasted_and_another_dropped(visit: Open, shared: Service, source: Path, tmp_path: Path) -> None:
    images.save(scenery.landscape(8, 64, 96), tmp_path / "tall.png")
    page = visit(shared, "zh-CN", 390, 800, "dark").open("enlarge")
    expect(page.get_by_text("选一张要放大的图片")).to_be_visible()
    hand_over(page, "paste", source)
    expect(page.get_by_test_id("size")).to_have_text("96 × 64 像素")
    hand_over(page, "drop", tmp_path / "tall.png")
    expect(page.get_by_test_id("size")).to_have_text("64 × 96 像素")
    page.get_by_test_id("notice").get_by_role("button", name="撤销").click()
    expect(page.get_by_test_id("size")).to_have_text("96 × 64 像素")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
