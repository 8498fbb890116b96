"""Layers over HTTP: to an OpenRaster file and back."""

from __future__ import annotations

import base64
import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from inkwash.core import images
from inkwash.core.layers import MIME, load_of


def uri(image: Image.Image) -> str:
    return f"data:image/png;base64,{base64.b64encode(images.encode(image)).decode()}"


def document() -> dict[str, object]:
    rng = np.random.default_rng(1)
    ground = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    patch = Image.fromarray(rng.integers(0, 256, (8, 8, 4), dtype=np.uint8))
    over = {"name": "a boat", "image": uri(patch), "x": 4, "y": 6, "recipe": "a boat\nSteps: 4"}
    hidden = {"name": "no", "image": uri(patch), "visible": False, "recipe": "hidden\nSteps: 9"}
    return {"width": 32, "height": 24, "layers": [{"name": "picture", "image": uri(ground)}, over, hidden]}


def test_a_file_that_editors_open_and_that_comes_back_the_same(client: TestClient) -> None:
    sent = document()
    answer = client.post("/api/v1/layers/file", json=sent)
    assert answer.headers["content-type"] == "image/openraster"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.read("mimetype") == MIME
    back = client.post("/api/v1/layers/read", content=answer.content).json()
    assert [layer["name"] for layer in back["layers"]] == ["picture", "a boat", "no"]
    assert [layer["visible"] for layer in back["layers"]] == [True, True, False]
    assert (back["layers"][1]["x"], back["layers"][1]["recipe"]) == (4, "a boat\nSteps: 4")
    assert back["layers"][1]["image"] == sent["layers"][1]["image"]  # type: ignore[index]


def test_flattened_it_is_what_is_seen_with_its_recipe(client: TestClient) -> None:
    sent = document()
    whole = load_of(client.post("/api/v1/layers/file", json=sent).content, 2**20).flattened()
    answer = client.post("/api/v1/layers/file?format=png", json=sent)
    assert images.load_of(answer.content).tobytes() == whole.tobytes()
    assert images.read_metadata_of(answer.content).infotext == "a boat\nSteps: 4"


def test_what_is_no_layered_file_is_refused_in_words(client: TestClient) -> None:
    whole = client.post("/api/v1/layers/file", json=document()).content
    for data in (b"", b"no zip", whole[:-100], images.encode(Image.new("RGB", (4, 4)))):
        answer = client.post("/api/v1/layers/read", content=data)
        assert (answer.status_code, answer.json()["error"]) == (422, "damaged_file")
    claims = document() | {"width": 8192, "height": 8192}
    answer = client.post("/api/v1/layers/file", json=claims)
    assert (answer.status_code, answer.json()["field"]) == (422, "layers")
    for wrong in ({"layers": []}, {"width": 0}, {"layers": [{"image": "x"}]}):
        assert client.post("/api/v1/layers/file", json=document() | wrong).status_code == 422


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'opacity="1"', b'opacity="nan"'),
        (b' x="4"', b' x="4000000"'),
        (b'h="24"', b'h="-24"'),
        (b'w="32"', b'w="40000"'),
        (b'src="data/layer001.png"', b'src="mimetype"'),
        (b'src="data/layer001.png"', b'src="absent"'),
    ],
)
def test_a_file_with_impossible_numbers_is_refused(client: TestClient, before: bytes, after: bytes) -> None:
    whole = client.post("/api/v1/layers/file", json=document()).content
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(buffer, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == "stack.xml":
                assert before in data
                data = data.replace(before, after)
            new.writestr(info, data)
    answer = client.post("/api/v1/layers/read", content=buffer.getvalue())
    assert (answer.status_code, answer.json()["error"]) == (422, "damaged_file")
