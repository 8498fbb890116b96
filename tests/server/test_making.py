"""Models described, and made of one another, over HTTP: seen beforehand, written as a job, never over anything."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from starlette.testclient import TestClient
from tests.support.checkpoints import sd1_spec, write_ldm
from tests.support.service import PaintingService

from inkwash.checkpoint import read_header
from inkwash.checkpoint.describe import training_tags
from inkwash.core.settings import Settings

SMALL = sd1_spec((32, 32), depths=(1, 0), layers=1, vae_layers=1, text_layers=1, vocabulary=100)
API = "/api/v1/models"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def library(settings: Settings) -> Path:
    """Two tiny models, the first with EMA weights, tags, notes and a picture."""
    folder = settings.models_dir / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    tags = {"ss_tag_frequency": json.dumps({"10_ink": {"ink": 12, "hill": 3}}), "ss_base": "<script>" + "x" * 5000}
    write_ldm(folder / "a.safetensors", SMALL, ema=True, metadata=tags)
    write_ldm(folder / "b.safetensors", SMALL, seed=1)
    (folder / "a.preview.png").write_bytes(PNG)
    (folder / "a.txt").write_text("for hills")
    (folder / "b.png").write_text("<svg onload=alert(1)>")
    return folder


def ended(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    """The job when it is over."""
    while (found := client.get(f"/api/v1/jobs/{job['id']}").json())["state"] in ("queued", "running"):
        time.sleep(0.01)
    told: dict[str, Any] = found
    return told


def test_a_model_tells_all_but_where_it_is(client: TestClient, library: Path) -> None:
    one = next(one for one in client.get(API).json()["models"] if one["name"] == "a")
    assert (one["family"], one["prediction"], one["dtype"], one["has_ema"]) == ("sd1", "eps", "float32", True)
    told = client.get(f"{API}/a").json()
    assert told["tags"] == training_tags(read_header(library / "a.safetensors")) == {"ink": 12, "hill": 3}
    assert told["description"] == "for hills"
    assert told["hashes"]["AutoV2"] == one["hash"].upper()
    assert len(told["metadata"]["ss_base"]) == 2000
    assert str(library.parent) not in json.dumps(told)
    picture = client.get("/" + one["picture"])
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
    assert client.get(f"{API}/picture", params={"name": "b"}).status_code == 404, "what is no picture stays here"
    assert client.get(f"{API}/picture", params={"name": "../../etc/passwd"}).status_code == 404


def test_what_is_planned_is_what_is_written(client: TestClient, library: Path) -> None:
    order = {"task": "prune", "sources": ["a"], "name": "small", "dtype": "float16", "ema": True}
    before = sorted(library.iterdir())
    plan = client.post(f"{API}/plan", json=order).json()
    assert sorted(library.iterdir()) == before
    assert plan["file"] == "small.safetensors"
    assert plan["dropped"]["plain U-Net weights"] > 0
    assert plan["fits"] is True
    job = ended(client, client.post(f"{API}/make", json=order).json())
    assert (job["state"], job["kind"], job["error"]) == ("done", "model", None)
    made = read_header(library / "small.safetensors").tensors
    assert (len(made), sum(info.nbytes for info in made.values())) == (plan["tensors"], plan["bytes"])
    assert job["items"][0]["facts"]["name"] == "small"
    assert "small" in [one["name"] for one in client.get(API).json()["models"]]
    assert not list(library.glob(".*"))


def test_merging_and_converting(client: TestClient, library: Path) -> None:
    merge = {"task": "merge", "sources": ["a", "b"], "name": "ab", "alpha": 0.25}
    assert ended(client, client.post(f"{API}/make", json=merge).json())["state"] == "done"
    a, b, ab = (load_file(library / f"{name}.safetensors") for name in ("a", "b", "ab"))
    key = "model.diffusion_model.out.2.bias"
    assert ab[key].allclose(0.75 * a[key] + 0.25 * b[key], atol=1e-6)
    recipe = json.loads(read_header(library / "ab.safetensors").metadata["sd_merge_recipe"])
    assert recipe["primary_model_hash"], "hashes are told though the plan did without"
    convert = {"task": "convert", "sources": ["b"], "name": "b-folder", "folder": True}
    assert ended(client, client.post(f"{API}/make", json=convert).json())["state"] == "done"
    assert (library / "b-folder" / "unet").is_dir()


def test_a_job_can_be_cancelled_and_leaves_nothing(client: TestClient, library: Path, service: PaintingService) -> None:
    service.let_go.clear()
    before = sorted(library.iterdir())
    job = client.post(f"{API}/make", json={"task": "convert", "sources": ["b"], "name": "c"}).json()
    assert service.at_work.wait(20)
    assert client.get(f"/api/v1/jobs/{job['id']}").json()["progress"]["stage"] == "writing"
    client.post(f"/api/v1/jobs/{job['id']}/cancel")
    service.let_go.set()
    draw = client.post("/api/v1/jobs", json={"request": {"prompt": "x"}}).json()
    assert ended(client, draw)["state"] == "done"
    assert sorted(library.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"name": "../b2"}, 422, "no name"),
        ({"name": "/tmp/x"}, 422, "no name"),
        ({"name": ".hidden"}, 422, "no name"),
        ({"name": "a\\b"}, 422, "no name"),
        ({"name": "b"}, 422, "exists already"),
        ({"name": "x" * 151}, 422, "name"),
        ({"sources": ["absent"]}, 404, "absent"),
        ({"sources": ["/etc/passwd"]}, 404, "passwd"),
        ({"sources": ["a\0"]}, 422, "No model"),
        ({"sources": ["a", "b"]}, 422, "One model"),
        ({"sources": []}, 422, "sources"),
        ({"dtype": "int8"}, 422, "dtype"),
        ({"task": "merge"}, 422, "2 models"),
        ({"task": "merge", "sources": ["a", "b"], "blocks": "1,2"}, 422, "IN00"),
        ({"task": "merge", "sources": ["a", "b"], "alpha": 1e9}, 422, "alpha"),
        ({"task": "prune", "sources": ["b"], "ema": True}, 422, "no EMA"),
        ({"path": "/tmp"}, 422, "path"),
    ],
)
def test_mistakes_and_mischief(
    change: dict[str, Any], status: int, word: str, client: TestClient, library: Path
) -> None:
    before = sorted(library.iterdir())
    order = {"task": "convert", "sources": ["b"], "name": "new"} | change
    for route in ("plan", "make"):
        answer = client.post(f"{API}/{route}", json=order)
        assert answer.status_code == status, answer.text
        assert word in answer.text
        assert str(library.parent.parent) not in answer.text
    assert sorted(library.iterdir()) == before
    assert client.get("/api/v1/jobs").json()["jobs"] == []


def test_a_full_disk_is_told_before_anything_is_written(
    client: TestClient, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inkwash.core.files.free_space", lambda path: 1000)
    order = {"task": "convert", "sources": ["b"], "name": "new"}
    assert client.post(f"{API}/plan", json=order).json()["fits"] is False
    answer = client.post(f"{API}/make", json=order)
    assert answer.status_code >= 400
    assert "GB left" in answer.text


def test_foreign_pages_make_nothing(client: TestClient, library: Path) -> None:
    order = {"task": "convert", "sources": ["b"], "name": "new"}
    answer = client.post(f"{API}/make", json=order, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
