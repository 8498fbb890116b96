"""Drawing on the page: the form, the live preview, the queue, and what a reload or a restart finds again."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, Route, expect
from tests.web.conftest import Open, Service

from inkwash.core.parameters import PARAMETERS


def test_a_picture_is_drawn_step_by_step(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    page = visitor.open()
    shared.hold(5)
    visitor.draw("peaks and clouds", steps=8)
    expect(page.get_by_test_id("status")).to_contain_text("Step 4 of 8")
    expect(page.get_by_test_id("left")).to_be_visible()
    expect(page.get_by_test_id("preview")).to_have_attribute("src", re.compile("^data:image/webp"))
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    shared.go()
    picture = page.get_by_test_id("picture")
    expect(picture).to_have_count(1)
    picture.click()
    expect(page.get_by_test_id("large")).to_be_visible()
    expect(page.get_by_role("dialog")).to_contain_text("peaks and clouds")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_batch_is_a_contact_sheet_to_leaf_through(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    page = visitor.open()
    visitor.draw("hills", steps=2, batch_count=4)
    expect(page.get_by_test_id("picture")).to_have_count(4)
    page.get_by_test_id("picture").nth(3).click()
    expect(page.get_by_role("dialog")).to_contain_text("4 / 4")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog")).to_contain_text("1 / 4")


def test_cancel_stops_within_a_step_and_touches_nothing_else(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    page = visitor.open()
    shared.hold(3)
    visitor.draw("first", steps=6)
    expect(page.get_by_test_id("status")).to_contain_text("Step 2 of 6")
    visitor.draw("second", steps=6)
    expect(page.locator("ol.strip > li")).to_have_count(2)
    page.get_by_test_id("cancel").click()
    shared.go()
    expect(page.get_by_test_id("picture")).to_have_count(1)  # the second one's
    page.locator("ol.strip button", has_text="Cancelled").click()
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
    page.get_by_role("button", name="Draw again").click()
    expect(page.get_by_test_id("picture")).to_have_count(1)
    expect(page.locator("ol.strip > li")).to_have_count(3)


def test_who_waits_sees_the_place_in_the_queue(visit: Open, shared: Service) -> None:
    one, other = visit(shared), visit(shared)
    shared.hold(2)
    one.open()
    one.draw("one", steps=3)
    expect(one.page.get_by_test_id("status")).to_contain_text("Step 1 of 3")
    one.draw("one more", steps=3)
    expect(one.page.locator("ol.strip > li")).to_have_count(2)
    other.open()
    other.draw("another person's", steps=3)
    expect(other.page.get_by_test_id("status")).to_contain_text("Waiting")
    expect(other.page.locator("ol.strip > li")).to_have_count(1)  # nobody else's jobs are listed
    shared.go()
    expect(other.page.get_by_test_id("picture")).to_have_count(1)


def test_a_failure_is_told_with_what_to_do(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    page = visitor.open()
    visitor.draw("fail")
    expect(page.get_by_role("alert")).to_contain_text("There is no wildcard file x.txt.")
    expect(page.get_by_role("alert")).to_contain_text("Make such a file.")


def test_a_wrong_value_is_told_and_the_form_stays(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    visitor.allowed.append("422")
    page = visitor.open()
    visitor.draw("hills", steps=100_000)
    expect(page.get_by_test_id("notice")).to_contain_text("steps")
    expect(page.locator("#box-prompt")).to_have_value("hills")


def test_a_reload_finds_form_and_job_again(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    page = visitor.open()
    shared.hold(4)
    visitor.draw("a long one", steps=7, batch_count=2)
    expect(page.get_by_test_id("status")).to_contain_text("Step 3 of 7")
    page.reload()
    expect(page.locator("#box-prompt")).to_have_value("a long one")
    expect(page.locator("#field-batch_count")).to_have_value("2")
    expect(page.get_by_test_id("status")).to_contain_text("Step 3 of 7")
    shared.go()
    expect(page.get_by_test_id("picture")).to_have_count(2)


def test_the_service_may_die_in_the_middle(visit: Open, service: Service) -> None:
    visitor = visit(service)
    visitor.allowed += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET"]
    page = visitor.open()
    service.hold(4)
    visitor.draw("through a crash", steps=6)
    expect(page.get_by_test_id("status")).to_contain_text("Step 3 of 6")
    service.kill()
    expect(page.get_by_test_id("status")).to_contain_text("Connection lost")
    service.start()
    expect(page.get_by_test_id("picture")).to_have_count(1)  # no reload, no click
    expect(page.get_by_text("Connection lost")).to_have_count(0)
    assert len(list((service.folder / "outputs").rglob("*.png"))) == 1


def test_tokens_are_counted_and_advice_given_while_one_types(visit: Open, shared: Service) -> None:
    page = visit(shared).open()
    page.locator("#box-prompt").fill("a cat, (hat:1,2)")
    expect(page.get_by_test_id("token-count").first).to_have_text("8/75")
    expect(page.locator("#advice-prompt")).to_contain_text("A comma is no decimal point")
    page.locator("#box-prompt").fill(", ".join(["word"] * 60))
    expect(page.locator("#advice-prompt")).to_contain_text("2 chunks")
    expect(page.get_by_label("119 tokens in 2 chunks of 75")).to_be_visible()


WEIGHED = [  # text, what is marked in it, keys, what it becomes
    ("a red cat", (3, 3), ["Up"], "a (red:1.1) cat"),
    ("a red cat", (3, 3), ["Up", "Up", "Down", "Down"], "a red cat"),
    ("a red cat", (2, 9), ["Down"], "a (red cat:0.9)"),
    ("a (red:1.3) cat", (4, 4), ["Up"], "a (red:1.4) cat"),
    ("a (red) cat", (4, 4), ["Up"], "a (red:1.2) cat"),
    ("(a (red:1.2) cat:0.8)", (14, 14), ["Up"], "(a (red:1.2) cat:0.9)"),
    ("<lora:thing:0.5>, cat", (4, 4), ["Up", "Up"], "<lora:thing:0.7>, cat"),
    ("一只，红猫", (4, 4), ["Up"], "一只，(红猫:1.1)"),
    ("a  cat", (2, 2), ["Up"], "a  cat"),
]


def test_ctrl_and_arrows_weigh_a_word(visit: Open, shared: Service) -> None:
    page = visit(shared).open()
    box = page.locator("#box-prompt")
    for text, mark, keys, expected in WEIGHED:
        box.fill(text)
        box.evaluate("(box, [start, end]) => box.setSelectionRange(start, end)", list(mark))
        for key in keys:
            box.press(f"Control+Arrow{key}")
        assert box.input_value() == expected


def test_ctrl_enter_draws_and_the_prompt_is_remembered(visit: Open, shared: Service) -> None:
    page = visit(shared).open()
    page.locator("#field-steps").fill("2")
    page.locator("#box-prompt").fill("by keyboard")
    page.locator("#box-prompt").press("Control+Enter")
    expect(page.get_by_test_id("picture")).to_have_count(1)
    page.locator("#box-prompt").fill("")
    page.get_by_role("button", name="Earlier prompts").click()
    page.get_by_role("dialog").get_by_text("by keyboard").click()
    expect(page.locator("#box-prompt")).to_have_value("by keyboard")


def test_a_pasted_infotext_fills_the_form_and_can_be_undone(visit: Open, shared: Service) -> None:
    page = visit(shared).open()
    page.locator("#box-prompt").fill("mine")
    paste(page, "#box-prompt", "a cat\nNegative prompt: dog\nSteps: 33, Sampler: Euler a, Schedule type: Karras,"
          " CFG scale: 5.5, Seed: 77, Size: 320x448")  # fmt: skip
    expect(page.locator("#box-prompt")).to_have_value("a cat")
    expect(page.locator("#box-negative_prompt")).to_have_value("dog")
    expect(page.locator("#field-steps")).to_have_value("33")
    expect(page.locator("#field-seed")).to_have_value("77")
    expect(page.get_by_label("Width in pixels")).to_have_value("320")
    expect(page.locator("summary", has_text="Euler a · Karras · CFG 5.5")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#box-prompt")).to_have_value("mine")
    expect(page.locator("#field-steps")).to_have_value("20")


def paste(page: Page, selector: str, text: str) -> None:
    page.locator(selector).evaluate(
        "(box, text) => { const data = new DataTransfer(); data.setData('text/plain', text);"
        " box.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})); }",
        text,
    )


def test_seed_of_the_picture_is_used_again(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    page = visitor.open()
    visitor.draw("seeds", steps=2, seed=4242)
    expect(page.get_by_test_id("picture")).to_have_count(1)
    page.get_by_role("button", name="A new random seed each time").click()
    expect(page.locator("#field-seed")).to_have_value("")
    page.get_by_role("button", name="Use the seed of this picture").click()
    expect(page.locator("#field-seed")).to_have_value("4242")


def test_every_parameter_of_the_service_is_on_the_form(visit: Open, shared: Service) -> None:
    page = visit(shared).open()
    expect(page.locator("details")).not_to_have_count(0)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for parameter in PARAMETERS:
        if parameter.group == "edit" or parameter.kind == "regions":  # of a picture to start from; drawn, not typed
            continue
        if parameter.name in ("restore_faces", "codeformer_weight"):  # there where there is a restorer: test_faces.py
            continue
        label = parameter.label.en
        assert page.get_by_label(label, exact=True).count() or parameter.name in ("width", "height", "styles"), label


def test_names_with_dots_nest_in_the_request(visit: Open, shared: Service) -> None:
    """A second pass is an object of its own in a request, left out while its switch is off."""
    visitor = visit(shared)
    sent: list[dict[str, object]] = []

    def catch(route: Route) -> None:
        if route.request.method != "POST":
            return route.fallback()
        sent.append(json.loads(route.request.post_data or "{}")["request"])
        refusal = {"error": "queue_full", "message": "Full.", "remedy": ""}
        return route.fulfill(status=429, json=refusal, headers={"Retry-After": "7"})

    visitor.page.route("**/api/v1/jobs", catch)
    visitor.allowed.append("429")
    page = visitor.open()
    page.locator("summary", has_text="Hires fix").click()
    page.locator("#field-hires-steps").fill("7")
    page.locator("#field-hires-steps").blur()
    visitor.draw("small")
    expect(page.get_by_test_id("notice")).to_contain_text("Try again in 7 s.")
    page.get_by_label("Second pass", exact=True).check()
    with page.expect_response(lambda answer: answer.status == 429):
        visitor.draw("large")
    assert sent == [{"prompt": "small"}, {"prompt": "large", "hires": {"enabled": True, "steps": 7}}]


def test_one_picture_of_many_is_enlarged(visit: Open, shared: Service) -> None:
    """A second pass over that very picture, with its own seed, as the command line's ``refine`` draws it."""
    visitor = visit(shared)
    sent: list[dict[str, object]] = []
    visitor.page.on(
        "request", lambda one: sent.append(one.post_data_json) if one.url.endswith("/jobs") and one.post_data else None
    )
    page = visitor.open()
    visitor.draw("hills", steps=2, batch_count=2, seed=50)
    expect(page.get_by_test_id("picture")).to_have_count(2)
    page.get_by_test_id("enlarge").nth(1).click()
    expect(page.get_by_test_id("picture")).to_have_count(1)
    assert page.get_by_test_id("picture").evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 192
    request = sent[1]["request"]
    assert isinstance(request, dict)
    assert (request["seed"], request["denoising_strength"], request["prompt"]) == (51, 0, "hills")
    assert str(request["init_image"]).endswith("-1")  # the second of the job's pictures
    assert request["hires"] == {"enabled": True, "scale": 2, "upscaler": "Lanczos", "denoising_strength": 0.5}
    expect(page.locator("ol.strip > li")).to_have_count(2)  # it lies with Draw's


def test_styles_are_sent_by_name(visit: Open, shared: Service) -> None:
    visitor = visit(shared)
    page = visitor.open()
    page.get_by_role("button", name="ink wash", exact=True).click()
    with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/jobs")) as found:
        visitor.draw("cat", steps=2)
    assert json.loads(found.value.post_data or "{}")["request"]["styles"] == ["ink wash"]
    expect(page.get_by_test_id("picture")).to_have_count(1)
