"""Picture to picture on the page: the mask, what is sent of it, the layers that come of it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Page, Route, expect
from tests.support.page import scenery
from tests.web.conftest import Open, Service, Visitor

from inkwash.core import images, layers

SIZE = (96, 64)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.png"
    images.save(scenery.landscape(3, *SIZE), path)
    return path


def easel_with(visitor: Visitor, source: Path) -> Page:
    page = visitor.open("edit")
    page.locator("#edit-file").set_input_files(source)
    expect(page.get_by_test_id("easel")).to_be_visible()
    expect(page.locator("#field-denoising_strength")).to_be_visible()
    page.wait_for_function("document.querySelector('[data-testid=zoom]').textContent !== '100 %'")  # it fits
    return page


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the picture is on the screen, as long as the whole of it is seen."""
    box = page.get_by_test_id("easel").bounding_box()
    assert box is not None
    scale = min((box["width"] - 24) / SIZE[0], (box["height"] - 24) / SIZE[1], 16)
    left = box["x"] + (box["width"] - SIZE[0] * scale) / 2
    return left + x * scale, box["y"] + (box["height"] - SIZE[1] * scale) / 2 + y * scale


def paint(page: Page, *points: tuple[float, float]) -> None:
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point), steps=4)
    page.mouse.up()


def kept(page: Page) -> None:
    """What is on the easel is in the browser's own database, too."""
    expect(page.get_by_test_id("easel")).to_have_attribute("data-kept", "true")


def caught(visitor: Visitor) -> list[dict[str, Any]]:
    """Requests for drawings from now on; none reaches the service."""
    sent: list[dict[str, Any]] = []

    def catch(route: Route) -> None:
        if route.request.method != "POST":
            return route.fallback()
        sent.append(json.loads(route.request.post_data or "{}")["request"])
        return route.fulfill(status=429, json={"error": "queue_full", "message": "Full.", "remedy": ""})

    visitor.page.route("**/api/v1/jobs", catch)
    visitor.allowed.append("429")
    return sent


def ask(page: Page) -> None:
    with page.expect_response(lambda answer: answer.status == 429):
        page.get_by_test_id("draw").click()


def picture_of(uri: str) -> Image.Image:
    return images.load_of(base64.b64decode(uri.partition(",")[2]))


def test_nothing_is_sent_before_the_drawing_and_then_picture_and_mask_to_the_bit(
    visit: Open, shared: Service, source: Path
) -> None:
    visitor = visit(shared)
    sent = caught(visitor)
    page = easel_with(visitor, source)
    said: list[str] = []
    page.on("request", lambda one: said.append(one.url) if one.method == "POST" else None)
    page.get_by_role("slider", name="Brush size").fill("30")
    paint(page, (20, 30), (50, 30))
    page.get_by_role("button", name="Eraser").click()
    paint(page, (35, 10), (35, 50))
    assert said == []
    page.locator("#box-prompt").fill("a boat")
    ask(page)
    request = sent[0]
    assert (
        ImageChops.difference(picture_of(request["init_image"]).convert("RGB"), images.load(source)).getbbox() is None
    )
    mask = picture_of(request["mask"])
    assert mask.size == SIZE
    seen = np.asarray(mask.convert("L"))
    assert (seen[30, 20], seen[30, 50], seen[30, 35], seen[10, 20]) == (255, 255, 0, 0)
    assert "only_masked" not in request


def test_strokes_are_taken_back_inverted_and_cleared(visit: Open, shared: Service, source: Path) -> None:
    visitor = visit(shared)
    sent = caught(visitor)
    page = easel_with(visitor, source)
    undo, redo = page.get_by_role("button", name="Undo (Ctrl"), page.get_by_role("button", name="Redo")
    paint(page, (20, 30), (30, 30))
    paint(page, (70, 30), (75, 30))
    undo.click()
    page.get_by_role("button", name="Invert").click()
    ask(page)
    undo.click()
    redo.click()
    ask(page)
    undo.click()
    undo.click()
    expect(undo).to_be_disabled()
    ask(page)
    masks = [np.asarray(picture_of(one["mask"]).convert("L")) if "mask" in one else None for one in sent]
    first = masks[0]
    assert first is not None
    assert (first[30, 25], first[30, 72]) == (0, 255)
    assert masks[1] is not None
    assert (masks[1] == first).all()
    assert masks[2] is None
    assert "mask_blur" not in sent[2]


def test_the_easel_is_worked_by_keyboard_wheel_and_fingers(visit: Open, shared: Service, source: Path) -> None:
    visitor = visit(shared)
    sent = caught(visitor)
    page = easel_with(visitor, source)
    zoom = page.get_by_test_id("zoom")
    fits = zoom.inner_text()
    easel = page.get_by_test_id("easel")
    easel.focus()
    for key in ("[", "[", "[", "[", "ArrowLeft", "Enter"):
        easel.press(key)
    expect(page.get_by_role("button", name="Undo (Ctrl")).to_be_enabled()
    easel.press("+")
    expect(zoom).not_to_have_text(fits)
    easel.press("0")
    expect(zoom).to_have_text(fits)
    page.mouse.move(*place(page, 40, 30))
    page.mouse.wheel(0, -200)
    expect(zoom).not_to_have_text(fits)
    easel.press("0")
    before = int(zoom.inner_text().split()[0].replace(",", ""))
    pinch(page, place(page, 40, 30))
    page.wait_for_function(
        "(old) => parseInt(document.querySelector('[data-testid=zoom]').textContent.replace(',', '')) > 1.5 * old",
        arg=before,
    )
    expect(page.get_by_role("button", name="Redo")).to_be_disabled()
    ask(page)
    seen = np.asarray(picture_of(sent[0]["mask"]).convert("L"))
    rows, columns = np.nonzero(seen)
    assert columns.mean() < SIZE[0] / 2  # one dab, left of the middle; the fingers painted nothing
    assert np.ptp(rows) < 40


def pinch(page: Page, at: tuple[float, float]) -> None:
    client = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 60), ("touchEnd", None)):
        points = [] if apart is None else [{"x": at[0] + side * apart, "y": at[1], "id": side + 1} for side in (-1, 1)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_a_redraw_becomes_a_layer_that_is_kept_hidden_reverted_and_saved(
    visit: Open, shared: Service, source: Path
) -> None:
    visitor = visit(shared)
    page = easel_with(visitor, source)
    paint(page, (20, 30), (50, 30))
    page.locator("#box-prompt").fill("a boat")
    page.locator("#field-steps").fill("2")
    page.get_by_test_id("draw").click()
    expect(page.get_by_test_id("picture")).to_have_count(1)
    result = images.load_of(page.request.get(page.get_by_test_id("picture").evaluate("(one) => one.src")).body())
    page.get_by_test_id("before").click()
    slider = page.get_by_test_id("compare")
    slider.focus()
    slider.press("ArrowRight")
    expect(slider).to_have_value("50.5")
    page.keyboard.press("Escape")

    page.get_by_test_id("use").click()
    rows = page.get_by_test_id("layers").get_by_role("listitem")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("a boat")
    kept(page)
    page.reload()
    expect(rows).to_have_count(2)
    document = saved(page)
    assert ImageChops.difference(document.flattened().convert("RGB"), result.convert("RGB")).getbbox() is None
    assert document.layers[1].recipe.startswith("a boat\nSteps: 2")
    assert document.layers[1].image.width < SIZE[0]  # only what was masked

    page.get_by_role("button", name="Hide: a boat").click()
    seen = saved(page).flattened().convert("RGB")
    assert ImageChops.difference(seen, images.load(source).convert("RGB")).getbbox() is None
    page.get_by_role("button", name="Show: a boat").click()
    page.get_by_role("button", name="Move down: a boat").click()
    expect(rows.last).to_contain_text("a boat")
    page.get_by_role("button", name="Revert: a boat").click()
    expect(rows).to_have_count(1)
    page.get_by_test_id("notice").get_by_role("button", name="Undo").click()
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="Flatten").click()
    expect(rows).to_have_count(1)


def saved(page: Page) -> layers.Layers:
    with page.expect_download() as download:
        page.get_by_role("button", name="OpenRaster").click()
    return layers.load_of(Path(download.value.path()).read_bytes(), 2**20)


def test_a_layered_file_comes_back(visit: Open, shared: Service, source: Path, tmp_path: Path) -> None:
    ground = images.load(source)
    over = layers.Layer("a sun", Image.new("RGBA", (8, 8), (200, 40, 30, 255)), 4, 4, recipe="a sun\nSteps: 3")
    file = tmp_path / "work.ora"
    layers.save(layers.Layers.of(ground).over(over), file)
    visitor = visit(shared)
    visitor.allowed.append("422")
    page = easel_with(visitor, source)
    page.locator("input[accept*=ora]").set_input_files(file)
    expect(page.get_by_test_id("layers").get_by_role("listitem")).to_have_count(2)
    back = saved(page)
    assert [one.name for one in back.layers] == ["picture", "a sun"]
    assert back.flattened().tobytes() == layers.load(file).flattened().tobytes()
    file.write_bytes(file.read_bytes()[:200])
    page.locator("input[accept*=ora]").set_input_files(file)
    expect(page.get_by_test_id("notice").last).to_contain_text("not a sound OpenRaster file")


def test_room_beside_the_picture_is_masked_and_filled(visit: Open, shared: Service, source: Path) -> None:
    visitor = visit(shared)
    sent = caught(visitor)
    page = easel_with(visitor, source)
    page.locator("summary", has_text="Draw beyond the edges").click()
    page.get_by_label("Right", exact=True).fill("29")
    page.get_by_label("Top", exact=True).fill("16")
    page.get_by_role("spinbutton", name="Overlap", exact=True).fill("8")
    page.get_by_role("button", name="Make room").click()
    expect(page.get_by_test_id("notice")).to_contain_text("There is room")
    ask(page)
    request = sent[0]
    whole, mask = picture_of(request["init_image"]).convert("RGB"), np.asarray(picture_of(request["mask"]).convert("L"))
    assert whole.size == (128, 80)  # rounded up to multiples of 8
    old = images.load(source)
    assert ImageChops.difference(whole.crop((0, 16, 96, 80)), old).getbbox() is None
    assert whole.getpixel((127, 40)) == old.getpixel((95, 24))
    assert (mask[: 16 + 8] == 255).all()
    assert (mask[:, 96 - 8 :] == 255).all()
    assert (mask[24:, :88] == 0).all()
    assert (request["inpainting_fill"], request["denoising_strength"], request["mask_blur"]) == ("fill", 0.9, 8)


def test_masks_come_from_pictures_and_from_what_is_transparent(visit: Open, shared: Service, tmp_path: Path) -> None:
    half = Image.new("L", SIZE, 0)
    half.paste(255, (0, 0, 48, 64))
    images.save(half.resize((192, 128)), tmp_path / "mask.png")
    images.save(Image.new("L", (50, 50)), tmp_path / "square.png")
    cut = scenery.landscape(4, *SIZE).convert("RGBA")
    cut.putalpha(Image.eval(half, lambda level: 255 - level))
    images.save(cut, tmp_path / "cut.png")
    (tmp_path / "text.png").write_text("no picture")
    visitor = visit(shared)
    sent = caught(visitor)
    page = easel_with(visitor, tmp_path / "cut.png")
    page.get_by_role("button", name="Mask what is transparent").click()
    ask(page)
    page.get_by_role("button", name="Clear the mask").click()
    page.get_by_label("Mask from a picture").set_input_files(tmp_path / "mask.png")
    expect(page.get_by_role("button", name="Clear the mask")).to_be_enabled()
    ask(page)
    for one in sent:
        seen = np.asarray(picture_of(one["mask"]).convert("L"))
        assert (seen[:, :46] == 255).all()
        assert (seen[:, 50:] == 0).all()
    page.get_by_label("Mask from a picture").set_input_files(tmp_path / "square.png")
    expect(page.get_by_test_id("notice").last).to_contain_text("96 × 64")
    page.get_by_test_id("other").set_input_files(tmp_path / "text.png")
    expect(page.get_by_test_id("notice").last).to_contain_text("no picture")


def test_pictures_come_from_draw_and_stay_after_a_reload(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    page = visitor.open()
    visitor.draw("a lake", steps=2)
    page.get_by_test_id("picture").click()
    page.get_by_role("button", name="Send to Picture to picture").click()
    expect(page.get_by_test_id("easel")).to_be_visible()
    expect(page.locator("#box-prompt")).to_have_value("a lake")
    page.locator("#box-prompt").fill("a lake in winter")
    page.locator("#field-denoising_strength").fill("0.4")
    page.get_by_test_id("easel").focus()
    page.get_by_test_id("easel").press("Enter")
    kept(page)
    page.reload()
    expect(page.get_by_test_id("easel")).to_be_visible()
    expect(page.locator("#box-prompt")).to_have_value("a lake in winter")
    expect(page.get_by_role("button", name="Clear the mask")).to_be_enabled()
    sent = caught(visitor)
    ask(page)
    assert sent[0]["denoising_strength"] == 0.4
    assert sent[0]["mask"].startswith("data:image/png")
    page.get_by_role("link", name="Draw").click()
    expect(page.locator("#box-prompt")).to_have_value("a lake")  # a form of its own


def test_a_picture_is_pasted_another_dropped_and_the_drawing_seen_coming(
    visit: Open, shared: Service, source: Path, tmp_path: Path
) -> None:
    images.save(scenery.landscape(8, 64, 96), tmp_path / "tall.png")
    page = visit(shared).open("edit")
    expect(page.locator("#field-denoising_strength")).to_be_visible()
    hand_over(page, "paste", source)
    expect(page.get_by_test_id("easel")).to_be_visible()
    hand_over(page, "drop", tmp_path / "tall.png")
    expect(page.get_by_test_id("notice")).to_contain_text("on the easel")
    shared.hold(3)
    page.locator("#field-steps").fill("4")
    page.get_by_test_id("draw").click()
    expect(page.get_by_test_id("status")).to_contain_text("Step 2 of 4")
    preview = page.get_by_test_id("preview")
    expect(preview).to_be_visible()
    assert preview.evaluate("(image) => image.naturalHeight > image.naturalWidth")
    page.reload()  # the result is what is looked at, still
    expect(page.get_by_test_id("status")).to_contain_text("Step 2 of 4")
    page.get_by_test_id("cancel").click()
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
    shared.go()


def hand_over(page: Page, kind: str, file: Path) -> None:
    """Pastes or drops a file as a person does."""
    page.locator(".side").evaluate(
        """(node, [kind, data]) => {
          const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          const moved = new DataTransfer();
          moved.items.add(new File([bytes], 'picture.png', { type: 'image/png' }));
          const shape = { bubbles: true, cancelable: true };
          const event = kind === 'paste'
            ? new ClipboardEvent('paste', { ...shape, clipboardData: moved })
            : new DragEvent('drop', { ...shape, dataTransfer: moved });
          node.dispatchEvent(event);
        }""",
        [kind, base64.b64encode(file.read_bytes()).decode()],
    )


def test_a_depth_map_is_asked_for_where_the_model_draws_over_one(
    visit: Open, shared: Service, source: Path, tmp_path: Path
) -> None:
    def deep(route: Route) -> None:
        told = route.fetch().json()
        route.fulfill(json={**told, "models": [{**one, "purpose": "depth"} for one in told["models"]]})

    visitor = visit(shared)
    sent = caught(visitor)
    visitor.page.route("**/api/v1/models", deep)
    page = easel_with(visitor, source)
    page.locator("summary", has_text="Depth map").click()
    images.save(Image.linear_gradient("L").resize(SIZE), tmp_path / "depth.png")
    page.get_by_label("Choose a depth map").set_input_files(tmp_path / "depth.png")
    expect(page.get_by_role("button", name="Without it")).to_be_visible()
    ask(page)
    assert picture_of(sent[0]["depth"]).size == SIZE
    page.unroute("**/api/v1/models", deep)
    page.reload()
    expect(page.get_by_test_id("easel")).to_be_visible()
    expect(page.locator("summary", has_text="Depth map")).to_have_count(0)
    ask(page)
    assert "depth" not in sent[1]
