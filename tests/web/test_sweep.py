"""Sweeps on the page: cells that come one by one, one sheet of them, and a sweep that outlives a reload."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect
from tests.web.conftest import Open, Service, Visitor

from inkwash.core import images


def begin(visitor: Visitor, x: tuple[str, str], y: tuple[str, str] | None = None) -> Page:
    page = visitor.open("sweep")
    page.locator("#field-steps").fill("2")
    page.locator("#box-prompt").fill("a red cat")
    for axis, (name, values) in {"x": x, **({"y": y} if y else {})}.items():
        page.locator(f"#axis-{axis}").select_option(label=name)
        page.locator(f"#axis-{axis}-values").fill(values)
    page.get_by_test_id("sweep").click()
    return page


def done(page: Page, count: int) -> None:
    expect(page.locator("[data-testid=cell][data-state=done]")).to_have_count(count)


def test_every_cell_is_drawn_where_it_belongs_and_all_stand_on_one_sheet(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    page = begin(visitor, ("CFG scale", "3-9 (+3)"), ("Prompt S/R", "red, blue"))
    done(page, 6)
    expect(page.get_by_test_id("swept")).to_have_text("6 of 6 drawn")
    assert page.locator("thead th").all_inner_texts() == ["CFG scale: 3", "CFG scale: 6", "CFG scale: 9"]
    assert page.locator("tbody th").all_inner_texts() == ["red", "blue"]
    page.get_by_role("button", name="Enlarge: CFG scale: 6 blue").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("a blue cat")
    expect(dialog).to_contain_text("CFG scale: 6")
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as one sheet").click()
    sheet = images.load(Path(download.value.path()))
    assert sheet.width > 3 * 96
    assert sheet.height > 2 * 96
    page.reload()
    done(page, 6)
    page.get_by_role("link", name="Draw").click()
    expect(page.get_by_test_id("draw")).to_be_visible()
    expect(page.locator("ol.strip > li")).to_have_count(0)  # cells do not crowd the drawings out


def test_a_picture_is_redrawn_many_ways(visit: Open, shared: Service, tmp_path: Path) -> None:
    images.save(Image.new("RGB", (96, 64), "teal"), tmp_path / "teal.png")
    page = visit(shared).open("edit")
    page.locator("#edit-file").set_input_files(tmp_path / "teal.png")
    expect(page.get_by_test_id("easel")).to_be_visible()
    page.goto(f"{shared.url}#/sweep")
    page.locator("#sweep-of").select_option("edit")
    page.locator("#field-steps").fill("2")
    page.locator("#axis-x").select_option("denoising_strength")
    page.locator("#axis-x-values").fill("0-1 [3]")
    page.get_by_test_id("sweep").click()
    done(page, 3)
    assert page.locator("thead th").all_inner_texts() == [f"Denoising strength: {value}" for value in ("0", "0.5", "1")]
    cell = page.get_by_test_id("cell").first.bounding_box()
    assert cell is not None
    assert abs(cell["width"] / cell["height"] - 1.5) < 0.05


def test_a_sweep_goes_on_after_a_reload_and_can_be_cancelled(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    shared.hold(2)
    page = begin(visitor, ("Seed", "1-4"))
    expect(page.locator("[data-testid=cell][data-state=running]")).to_have_count(1)
    page.reload()
    expect(page.locator("[data-testid=cell][data-state=queued]")).to_have_count(3)
    shared.go()
    done(page, 4)
    shared.hold(2)
    page.get_by_test_id("sweep").click()
    expect(page.locator("[data-testid=cell][data-state=queued]")).to_have_count(3)
    page.get_by_test_id("cancel").click()
    expect(page.locator("[data-testid=cell][data-state=cancelled]")).to_have_count(4)
    shared.go()
    page.get_by_role("button", name="Try again").first.click()
    done(page, 1)
    expect(page.get_by_test_id("cancel")).to_have_count(0)


def test_what_did_this_word_do_in_the_readers_language(visit: Open, shared: Service) -> None:
    page = visit(shared, "zh-CN").open("sweep")
    page.locator("#field-steps").fill("2")
    page.locator("#box-prompt").fill("a red cat")
    page.locator("#sweep-kind").select_option("words")
    page.get_by_test_id("sweep").click()
    done(page, 4)
    assert page.locator("figcaption").all_inner_texts() == ["全部", "去掉“a”", "去掉“red”", "去掉“cat”"]


def test_names_are_chosen_from_a_list_and_mistakes_told_before_anything_is_drawn(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    visitor.allowed.append("422")
    page = visitor.open("sweep")
    page.locator("#axis-x").select_option(label="Sampler")
    page.get_by_text("Choose from the list").click()
    page.get_by_role("button", name="Euler a", exact=True).click()
    page.get_by_role("button", name="Heun", exact=True).click()
    expect(page.locator("#axis-x-values")).to_have_value("Euler a, Heun")
    page.get_by_role("button", name="Euler a", exact=True).click()
    expect(page.locator("#axis-x-values")).to_have_value("Heun")
    page.locator("#axis-x-values").fill("Eulr")
    page.get_by_test_id("sweep").click()
    expect(page.get_by_test_id("notice")).to_contain_text("Did you mean Euler")
    page.locator("#axis-x").select_option(label="Seed")
    page.locator("#axis-x-values").fill("1-900")
    page.get_by_test_id("sweep").click()
    expect(page.get_by_test_id("notice").last).to_contain_text("at most 256")
    expect(page.get_by_test_id("cell")).to_have_count(0)
