"""The tab Models: what a file tells, and a model made of another one, seen before it is written."""

from __future__ import annotations

import json
import re

from playwright.sync_api import expect
from tests.support.checkpoints import sd1_spec, write_ldm
from tests.web.conftest import Open, Service

SMALL = sd1_spec((32, 32), depths=(1, 0), layers=1, vae_layers=1, text_layers=1, vocabulary=100)
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415408d763f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)  # a PNG of one red pixel


def test_a_model_is_described_and_made_into_another(visit: Open, service: Service) -> None:
    folder = service.folder / "library" / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    tags = {"ss_tag_frequency": json.dumps({"1_ink": {"ink wash": 7}}), "ss_base": "<img src=x onerror=alert(1)>"}
    write_ldm(folder / "tiny.safetensors", SMALL, metadata=tags)
    (folder / "tiny.png").write_bytes(PIXEL)
    (folder / "tiny.txt").write_text("<b>for hills</b>")

    visitor = visit(service)
    visitor.allowed.append("422")  # a name that is taken, at the end
    page = visitor.open("models")
    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="tiny", exact=True))
    expect(card).to_contain_text("sd1 · eps · float32")
    expect(card.get_by_role("img")).to_have_js_property("naturalWidth", 1)
    card.get_by_text("Details").click()
    for words in ("<b>for hills</b>", "ink wash (7)", "<img src=x onerror=alert(1)>", "AutoV3"):
        expect(card).to_contain_text(words)

    card.get_by_role("button", name="Convert, prune, merge").click()
    form = page.get_by_role("region", name="Make a model of others")
    form.get_by_label("What to do").select_option("prune")
    form.get_by_label("Name of the new one").fill("small")
    form.get_by_label("Precision").select_option("float16")
    expect(form.get_by_role("button", name="Write it")).to_be_disabled()
    form.get_by_role("button", name="Show what would be written").click()
    expect(form.get_by_test_id("plan")).to_contain_text("small.safetensors")
    expect(form.get_by_test_id("plan")).to_contain_text(re.compile(r"F16 [\d.]+ (KB|MB)"))
    assert not (folder / "small.safetensors").exists()
    form.get_by_role("button", name="Write it").click()
    expect(page.get_by_test_id("notice")).to_contain_text("small is written")
    expect(page.get_by_role("heading", name="small", exact=True)).to_be_visible()
    assert (folder / "small.safetensors").is_file()

    form.get_by_role("button", name="Show what would be written").click()
    expect(page.get_by_text("exists already")).to_be_visible()
