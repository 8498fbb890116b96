"""Sweeps over HTTP: what is planned is what the command line draws, and what comes of it stands on one sheet."""

from __future__ import annotations

import base64

import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.server.test_native import wait_for

from inkwash.core import images
from inkwash.core.fingerprints import fingerprint


def planned(client: TestClient, **body: object) -> dict[str, object]:
    answer = client.post("/api/v1/sweeps", json={"request": {"prompt": "a red cat", "steps": 4}, **body})
    assert answer.status_code == 200, answer.text
    plan: dict[str, object] = answer.json()
    return plan


def test_cells_come_row_by_row_of_one_seed_with_their_labels(client: TestClient) -> None:
    plan = planned(
        client,
        x={"name": "cfg", "values": "3-9 (+3)", "label": "引导"},
        y={"name": "Prompt S/R", "values": "red, blue"},
        z={"name": "sampler", "values": "Euler, euler a"},
    )
    assert plan["columns"] == ["引导: 3", "引导: 6", "引导: 9"]
    assert plan["rows"] == ["red", "blue"]
    assert plan["sheets"] == ["sampler: Euler", "sampler: euler a"]
    cells = plan["cells"]
    assert isinstance(cells, list)
    assert [cell.get("cfg_scale", 7) for cell in cells[:4]] == [3, 6, 9, 3]
    assert [cell["prompt"] for cell in cells[2:4]] == ["a red cat", "a blue cat"]
    assert [cell["sampler"] for cell in cells[5:7]] == ["Euler", "Euler a"]  # as it is spelled
    assert {cell["seed"] for cell in cells} == {plan["seed"]}


def test_matrix_words_and_contact_are_captioned(client: TestClient) -> None:
    request = {"prompt": "a cat | at night | in rain", "seed": 5}
    matrix = planned(client, request=request, kind="matrix")
    assert matrix["columns"] == ["a cat", "at night", "in rain", "at night, in rain"]
    assert matrix["captioned"] is True
    words = planned(client, kind="words", language="zh")
    assert words["columns"] == ["全部", "去掉“a”", "去掉“red”", "去掉“cat”"]
    contact = planned(client, request=request, kind="contact")
    assert [cell["seed"] for cell in contact["cells"]] == list(range(5, 21))  # type: ignore[attr-defined]


def test_cells_share_the_picture_they_start_from(client: TestClient) -> None:
    picture = Image.new("RGB", (16, 16), (9, 8, 7))
    data = base64.b64encode(images.encode(picture)).decode()
    plan = planned(client, request={"init_image": data}, x={"name": "denoising", "values": "0.2, 0.8"})
    found = [(cell["init_image"], cell["denoising_strength"]) for cell in plan["cells"]]  # type: ignore[attr-defined]
    assert found == [({"sha256": fingerprint(picture)}, strength) for strength in (0.2, 0.8)]


@pytest.mark.parametrize(
    ("body", "field", "word"),
    [
        ({}, "x", "vary"),
        ({"x": {"name": "stepz", "values": "1"}}, "x", "steps"),
        ({"x": {"name": "steps", "values": "1-5"}, "y": {"name": "cfg", "values": "5-1 (+1)"}}, "y", "arrives"),
        ({"x": {"name": "steps", "values": "1, 900"}}, "steps", "200"),
        ({"x": {"name": "seed", "values": "1-500"}}, None, "256"),
        ({"x": {"name": "seed", "values": "1-100000"}}, "x", "1000"),
        ({"x": {"name": "model", "values": "/etc/passwd"}}, None, "passwd"),
        ({"kind": "matrix"}, None, "bars"),
    ],
)
def test_what_cannot_be_drawn_is_told_before_anything_is(
    client: TestClient, body: dict[str, object], field: str | None, word: str
) -> None:
    answer = client.post("/api/v1/sweeps", json={"request": {"prompt": "a cat"}, **body})
    assert answer.status_code in (404, 422)
    told = answer.json()
    assert told["field"] == field
    assert word in told["message"] + told["remedy"]


def test_the_cells_stand_on_one_sheet(client: TestClient) -> None:
    plan = planned(client, x={"name": "seed", "values": "7, 8"}, y={"name": "steps", "values": "2, 3"})
    drawn = []
    for cell in plan["cells"][:3]:  # type: ignore[index]
        job = client.post("/api/v1/jobs", json={"request": cell}).json()["id"]
        drawn.append(wait_for(client, job)["items"][0]["picture"])  # type: ignore[index]
    labels = {name: plan[name] for name in ("columns", "rows", "sheets", "captioned")}
    answer = client.post("/api/v1/sweeps/sheet", json={**labels, "pictures": [*drawn, None]})
    assert answer.headers["content-type"] == "image/png"
    assert "attachment" in answer.headers["content-disposition"]
    assert "Seed: 7" in images.read_metadata_of(answer.content).infotext
    page = images.load_of(answer.content)
    assert page.width > 2 * 64
    assert {page.getpixel((page.width - 40 - 68 * column, page.height - 40)) for column in (0, 1)} == {
        (7, 0, 128), (255, 255, 255),
    }  # fmt: skip
    for wrong in (
        {"pictures": [None]},
        {"pictures": drawn * 2},
        {"pictures": drawn},
        {"pictures": ["absent-0"] * 4},
        {"columns": []},
    ):
        answer = client.post("/api/v1/sweeps/sheet", json={**labels, "pictures": [*drawn, None], **wrong})
        assert answer.status_code in (404, 422), wrong
