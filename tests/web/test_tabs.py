"""The tabs beside Draw: gallery, picture info, how it works, models, machine, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect
from tests.web.conftest import Open, Service, running

from inkwash.core import images

TEXT = "a lighthouse\nNegative prompt: people\nSteps: 9, Sampler: Euler, CFG scale: 4, Seed: 5, Size: 64x64"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with 500 pictures, newest "number 499"."""
    for service in running(tmp_path_factory.mktemp("filled")):
        service.post("test/fill/500")
        yield service


def test_a_gallery_of_hundreds_loads_what_is_looked_at(visit: Open, filled: Service) -> None:
    visitor = visit(filled)
    loaded: set[str] = set()
    visitor.page.on("response", lambda answer: loaded.add(answer.url) if answer.url.endswith("/thumbnail") else None)
    page = visitor.open("gallery")
    expect(page.get_by_test_id("total")).to_have_text("500 pictures")
    expect(page.get_by_test_id("tile").first).to_be_visible()
    assert len(loaded) <= page.get_by_test_id("tile").count() <= 240  # as far as one may soon scroll
    tiles, more = page.get_by_test_id("tile"), page.get_by_role("button", name="Show more")
    while (count := tiles.count()) < 500:
        more.scroll_into_view_if_needed()
        expect(tiles.nth(count)).to_be_attached()
    expect(more).to_have_count(0)
    page.get_by_label("Search in prompts").fill("number 123")
    expect(page.get_by_test_id("total")).to_have_text("1 pictures")


def test_favourites_compare_delete_and_back_to_draw(visit: Open, filled: Service) -> None:
    page = visit(filled).open("gallery")
    tiles, total = page.get_by_test_id("tile"), page.get_by_test_id("total")
    expect(total).to_have_text("500 pictures")

    page.get_by_role("button", name="Favourite", exact=True).nth(2).click()
    page.get_by_role("button", name="Favourites").click()
    expect(tiles).to_have_count(1)
    page.get_by_role("button", name="Favourites").click()
    expect(total).to_have_text("500 pictures")

    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("button", name="Compare: hills, number 499").click()
    page.get_by_role("button", name="Compare: hills, number 495").click()
    slider = page.get_by_test_id("compare")
    slider.focus()
    slider.press("ArrowRight")
    expect(slider).to_have_value("50.5")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Compare", exact=True).click()

    tiles.first.click()
    page.get_by_role("button", name="Delete").click()
    expect(total).to_have_text("499 pictures")
    page.get_by_role("button", name="Undo").click()
    expect(total).to_have_text("500 pictures")

    tiles.first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    page.get_by_role("button", name="Send to Draw").click()
    expect(page.locator("#box-prompt")).to_have_value("hills, number 499")
    expect(page.locator("#field-seed")).to_have_value("499")


def test_picture_info_reads_a_picture_and_fills_the_form(visit: Open, shared: Service, tmp_path: Path) -> None:
    images.save(Image.new("RGB", (64, 48), "teal"), tmp_path / "cat.png", TEXT)
    images.save(Image.new("RGB", (64, 48), "teal"), tmp_path / "bare.png")
    page = visit(shared).open("info")
    page.locator("#info-file").set_input_files(tmp_path / "cat.png")
    expect(page.get_by_test_id("facts")).to_contain_text("Euler")
    expect(page.get_by_text("people", exact=True)).to_be_visible()
    page.locator("#info-file").set_input_files(tmp_path / "bare.png")
    expect(page.get_by_text("This picture carries no text")).to_be_visible()
    page.get_by_label("Or paste a picture's text").fill(TEXT)
    page.get_by_role("button", name="Read").click()
    page.get_by_role("button", name="Send to Draw").click()
    expect(page.locator("#box-prompt")).to_have_value("a lighthouse")
    expect(page.locator("#field-steps")).to_have_value("9")


def test_how_it_works_takes_a_drawing_apart(visit: Open, shared: Service, tmp_path: Path) -> None:
    page = visit(shared).open("how")
    page.locator("#how-prompt").fill("a red fox, snow")
    page.locator("#how-steps").fill("6")
    expect(page.get_by_test_id("token-view")).to_contain_text("Chunk 1: 5 of 75 places")
    page.get_by_test_id("explain").click()
    expect(page.get_by_test_id("plot")).to_be_visible()

    before = page.get_by_test_id("denoised").get_attribute("src")
    page.locator("#how-step").fill("4")
    expect(page.get_by_test_id("denoised")).not_to_have_attribute("src", before or "")
    expect(page.get_by_label("Noise schedule: sigma is", exact=False)).to_have_count(1)
    assert page.get_by_test_id("noisy").evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 96

    shown = page.get_by_test_id("heat").evaluate("(canvas) => canvas.toDataURL()")
    page.get_by_role("button", name="snow").click()
    expect(page.get_by_text("Where “snow” looks in the picture")).to_have_count(1)
    page.wait_for_function("(old) => document.querySelector('[data-testid=heat]').toDataURL() !== old", arg=shown)
    page.get_by_label("only at step 4").check()
    expect(page.get_by_text("CFG 12")).to_be_visible()

    images.save(Image.new("RGB", (640, 480), "teal"), tmp_path / "mine.png")
    page.locator("#noise-file").set_input_files(tmp_path / "mine.png")
    expect(page.get_by_test_id("noised")).to_be_visible()
    page.locator("#noise-t").fill("11")
    expect(page.get_by_text("t = 999", exact=False)).to_be_visible()

    page.reload()  # all of it is found again
    expect(page.get_by_test_id("plot")).to_be_visible()
    expect(page.get_by_test_id("noised")).to_be_visible()


def test_models_machine_and_settings_show_what_is_there(visit: Open, shared: Service) -> None:
    page = visit(shared).open("models")
    card = page.get_by_role("listitem").filter(has_text="inkwash-box").first
    card.get_by_text("Details").click()
    expect(card).to_contain_text("sha256")
    card.get_by_role("button", name="Draw with it").click()
    expect(page.locator("#field-model")).to_have_value(re.compile(r"inkwash-box\.safetensors \[[0-9a-f]{10}\]"))

    page.get_by_role("link", name="Machine").click()
    expect(page.get_by_text("1.42 s a step")).to_be_visible()
    expect(page.get_by_label("9 GB of 24 GB used")).to_be_visible()

    page.get_by_role("link", name="Settings").click()
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        page.get_by_label("File format of pictures").select_option("webp")
    page.reload()
    expect(page.get_by_label("File format of pictures")).to_have_value("webp")


def test_the_form_can_become_everybodys_default(visit: Open, shared: Service) -> None:
    page = visit(shared).open()
    page.locator("#field-steps").fill("11")
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("button", name="Begin every form like the present one").click()
    expect(page.get_by_test_id("notice")).to_be_visible()
    expect(visit(shared).open().locator("#field-steps")).to_have_value("11")
    page.get_by_role("button", name="Back to the program's defaults").click()
    expect(page.get_by_role("button", name="Back to the program's defaults")).to_be_disabled()
    expect(visit(shared).open().locator("#field-steps")).to_have_value("20")


def test_who_needs_a_password_is_asked_for_it(visit: Open, tmp_path: Path) -> None:
    for service in running(tmp_path, "--passwords", "ann:secret"):
        visitor = visit(service)
        visitor.allowed.append("401")
        page = visitor.open()
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Enter").click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("Password").fill("secret")
        page.get_by_role("button", name="Enter").click()
        visitor.draw("behind a door", steps=2)
        expect(page.get_by_test_id("picture")).to_have_count(1)
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
