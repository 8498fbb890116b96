"""The service's own API."""

from __future__ import annotations

import base64
import json

import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.server.conftest import context_of
from tests.support.checkpoints import sd1_spec, write_ldm
from tests.support.service import PaintingService

from inkwash.core import images, wire
from inkwash.core.fingerprints import fingerprint
from inkwash.core.settings import Settings


def hand_in(client: TestClient, prompt: str = "a cat", **more: object) -> dict[str, object]:
    answer = client.post("/api/v1/jobs", json={"request": {"prompt": prompt, "steps": 4, "seed": 7, **more}})
    assert answer.status_code == 201, answer.text
    job: dict[str, object] = answer.json()
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    return job


def wait_for(client: TestClient, job: object) -> dict[str, object]:
    """By its events, as the page does."""
    with client.stream("GET", f"/api/v1/jobs/{job}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: ") and json.loads(line[6:]).get("state") in ("done", "failed", "cancelled"):
                found: dict[str, object] = json.loads(line[6:])
                return found
    raise AssertionError("the stream ended before the job")


def test_a_job_from_hand_in_to_picture(client: TestClient) -> None:
    done = wait_for(client, hand_in(client, batch_count=2)["id"])
    assert done["state"] == "done"
    assert done["warnings"] == ["painted flat"]
    items = done["items"]
    assert isinstance(items, list)
    assert [item["facts"]["seed"] for item in items] == [7, 8]
    picture = client.get(items[0]["url"])
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert "Seed: 7" in images.read_metadata_of(picture.content).infotext
    small = client.get(items[0]["thumbnail"])
    assert small.headers["content-type"] == "image/webp"
    assert client.get(f"/api/v1/jobs/{done['id']}/items/0").content == picture.content
    assert client.get(f"/api/v1/jobs/{done['id']}/items/9").status_code == 404


@pytest.mark.parametrize(
    ("request_", "field", "word"),
    [
        ({"promt": "x"}, "promt", "prompt"),
        ({"steps": "many"}, "steps", "whole number"),
        ({"steps": 201}, "steps", "200"),
        ({"width": 100}, "width", "96"),
        ({"sampler": "Eulr"}, "sampler", "Euler"),
        ({"batch_count": 257}, "batch_count", "256"),
        ({"styles": ["inc"]}, "styles", "ink"),
        ({"sigmas": "7 3"}, "sigmas", "list"),
        ({"tiling": 1}, "tiling", "true or false"),
        ({"seed": 2**70}, "seed", "at most"),
        ({"prompt": "<lora:a:1>" * 33}, "prompt", "32"),
    ],
)
def test_a_wrong_field_is_named_with_what_to_do(
    client: TestClient, request_: dict[str, object], field: str, word: str
) -> None:
    answer = client.post("/api/v1/jobs", json={"request": request_})
    assert answer.status_code == 422
    told = answer.json()
    assert set(told) == {"error", "message", "remedy", "field"}
    assert told["field"] == field
    assert word in f"{told['message']} {told['remedy']}"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "absent", "x\0y", "..\\secret", "%2e%2e/secret"])
def test_no_model_outside_of_the_folder(client: TestClient, name: str) -> None:
    assert client.post("/api/v1/jobs", json={"request": {"model": name}}).status_code == 404


def test_the_same_key_is_the_same_job(client: TestClient) -> None:
    headers = {"idempotency-key": "once"}
    first = client.post("/api/v1/jobs", json={"request": {"prompt": "a"}}, headers=headers).json()
    assert client.post("/api/v1/jobs", json={"request": {"prompt": "a"}}, headers=headers).json()["id"] == first["id"]


def test_a_full_queue_says_when_to_come_again(client: TestClient, service: PaintingService) -> None:
    service.let_go.clear()
    for _ in range(21):  # one is drawn, 20 wait
        last = client.post("/api/v1/jobs", json={"request": {}})
        service.at_work.wait()
    answers = [last, *(client.post("/api/v1/jobs", json={"request": {}}) for _ in range(2))]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert answers[-1].json()["error"] == "queue_full"


def test_cancel_and_retry(client: TestClient, service: PaintingService) -> None:
    service.let_go.clear()
    job = hand_in(client)["id"]
    service.at_work.wait()
    running = client.get(f"/api/v1/jobs/{job}").json()
    assert running["progress"]["steps"] == 4
    assert client.post(f"/api/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
    service.let_go.set()
    again = client.post(f"/api/v1/jobs/{job}/retry")
    assert again.status_code == 201
    assert wait_for(client, again.json()["id"])["state"] == "done"
    assert client.get("/api/v1/jobs/absent").status_code == 404


def test_a_failed_job_tells_why(client: TestClient) -> None:
    failed = wait_for(client, hand_in(client, "fail please")["id"])
    assert failed["state"] == "failed"
    assert "wildcard" in str(failed["error"])


def test_jobs_are_listed_by_client(client: TestClient) -> None:
    job = client.post("/api/v1/jobs", json={"request": {}}, headers={"x-inkwash-client": "mine"}).json()["id"]
    listed = client.get("/api/v1/jobs?client=mine").json()["jobs"]
    assert [one["id"] for one in listed] == [job]
    assert client.get("/api/v1/jobs", headers={"x-inkwash-client": "other"}).json()["jobs"] == []
    assert client.get("/api/v1/jobs", headers={"x-inkwash-client": "no/no"}).status_code == 422


def test_the_gallery(client: TestClient) -> None:
    done = wait_for(client, hand_in(client, "a red fox")["id"])
    wait_for(client, hand_in(client, "a blue whale")["id"])
    found = client.get("/api/v1/pictures?search=fox red").json()
    assert found["total"] == 1
    picture = found["pictures"][0]
    assert picture["prompt"] == "a red fox"
    assert picture["job"] == done["id"]
    path = f"/api/v1/pictures/{picture['id']}"
    assert client.patch(path, json={"favourite": True}).json()["favourite"] is True
    assert client.get("/api/v1/pictures?favourite=true").json()["total"] == 1
    assert "attachment" in client.get(f"{path}/file?download=true").headers["content-disposition"]
    assert client.delete(path).json()["trashed"] is True
    assert client.get("/api/v1/pictures").json()["total"] == 1
    assert client.post(f"{path}/restore").json()["trashed"] is False
    assert client.get("/api/v1/pictures").json()["total"] == 2
    assert client.get("/api/v1/pictures/absent").status_code == 404


def test_the_schema_speaks_both_languages(client: TestClient) -> None:
    schema = client.get("/api/v1/schema").json()
    steps = next(one for one in schema["parameters"] if one["name"] == "steps")
    assert (steps["minimum"], steps["maximum"], steps["default"], steps["level"]) == (1, 200, 20, "basic")
    assert steps["label"]["zh"] == "步数"
    assert "Euler a" in schema["samplers"]
    assert "Karras" in schema["schedules"]


def test_tokens_and_advice(client: TestClient) -> None:
    told = client.post("/api/v1/tokens", json={"prompt": "a (cat:1,2) dog", "negative": "blurry"}).json()
    assert told["limit"] == 75
    assert told["chunks"][0]["used"] == told["count"] > 3
    advice = told["advice"][0]
    assert advice["message"]["zh"]
    assert told["negative"]["count"] == 1
    assert client.post("/api/v1/tokens", json={"prompt": "x" * 100_001}).status_code == 422


def test_inspect_reads_pictures_and_texts(client: TestClient) -> None:
    done = wait_for(client, hand_in(client, "a fox")["id"])
    data = client.get(done["items"][0]["url"]).content  # type: ignore[index]
    told = client.post("/api/v1/inspect", content=data, headers={"content-type": "image/png"}).json()
    assert told["request"]["prompt"] == "a fox"
    assert (told["width"], told["height"]) == (64, 64)
    again = client.post("/api/v1/inspect", json={"infotext": told["infotext"]}).json()
    assert again["request"] == told["request"]
    assert client.post("/api/v1/inspect", json={"infotext": "only words"}).json()["request"] == {"prompt": "only words"}
    assert client.post("/api/v1/inspect", content=b"no picture").status_code == 422
    assert client.post("/api/v1/inspect", json={"infotext": "x\nSteps: y, Seed: z, Size: 1x1"}).status_code == 422


def test_models_and_the_rest(client: TestClient, service: PaintingService) -> None:
    models = client.get("/api/v1/models").json()
    assert models["models"][0]["box"] is True
    assert (models["models"][0]["family"], models["models"][0]["purpose"]) == ("sd1", None)
    assert all(one["what"]["zh"] and one["url"].startswith("https://") for one in models["suggestions"])
    name = models["models"][0]["name"]
    assert client.get(f"/api/v1/models/{name}").json()["details"]["unet"]["context_width"] > 0
    assert client.post("/api/v1/models/load", json={"name": name}).status_code == 202
    assert service.loaded == [f"{name}.safetensors"]
    assert client.get("/api/v1/models/../../etc/passwd").status_code == 404
    assert client.get("/api/v1/styles").json()[0]["name"] == "ink"
    assert client.get("/api/v1/system").json()["worker"]["state"] == "idle"
    service.lines.add("hello")
    assert client.get("/api/v1/system/log?after=0").json()["lines"][0]["text"] == "hello"


@pytest.mark.parametrize(("channels", "purpose"), [(5, "depth"), (9, "inpainting")])
def test_what_a_model_draws_over_is_told(client: TestClient, settings: Settings, channels: int, purpose: str) -> None:
    write_ldm(settings.models_dir / "tiny.safetensors", sd1_spec(in_channels=channels))
    told = {model["name"]: model["purpose"] for model in client.get("/api/v1/models").json()["models"]}
    assert told["tiny"] == purpose


def test_settings_are_kept(client: TestClient) -> None:
    told = client.patch(
        "/api/v1/settings", json={"pattern": "[seed]", "format": "JPEG", "defaults": {"steps": 9}}
    ).json()
    assert (told["pattern"], told["format"], told["defaults"]) == ("[seed]", "jpeg", {"steps": 9})
    answer = client.post("/api/v1/jobs", json={"request": {"prompt": "a cat", "seed": 77, "width": 64, "height": 64}})
    item = wait_for(client, answer.json()["id"])["items"][0]  # type: ignore[index]
    picture = context_of(client).service.pictures.get(item["picture"])
    assert (item["media"], picture.path.name) == ("image/jpeg", "77.jpg")
    assert client.patch("/api/v1/settings", json={"pattern": "[sed]"}).status_code == 422
    assert client.patch("/api/v1/settings", json={"limits": {}}).status_code == 422
    assert client.get("/api/v1/settings").json()["limits"]["steps"] == 200


def test_explain_is_checked_before_it_is_queued(client: TestClient) -> None:
    order = {"kind": "explain", "request": {"prompt": "a cat", "steps": 5, "cfgs": [1, 7]}}
    done = wait_for(client, client.post("/api/v1/jobs", json=order).json()["id"])
    trace = done["items"][0]  # type: ignore[index]
    assert client.get(trace["url"]).json() == {"steps": []}
    for wrong in (
        {"steps": 51},
        {"cfgs": [1] * 7},
        {"cfgs": ["x"]},
        {"batch_size": 2},
        {"noise": {}},
        {"noise": {"picture": "/etc/hostname", "ts": [1]}},
    ):
        assert client.post("/api/v1/jobs", json={"kind": "explain", "request": wrong}).status_code == 422


def encoded(image: Image.Image) -> str:
    return base64.b64encode(images.encode(image)).decode()


def test_a_picture_is_sent_once_and_named_by_its_hash(client: TestClient, service: PaintingService) -> None:
    picture = Image.new("RGB", (16, 8), (10, 20, 30))
    mask = Image.new("L", (16, 8), 255)
    job = hand_in(
        client, init_image=encoded(picture), mask=f"data:image/png;base64,{encoded(mask)}", hires={"scale": 2}
    )
    request = job["request"]
    assert isinstance(request, dict)
    assert request["init_image"] == {"sha256": fingerprint(picture)}
    assert request["hires"] == {"enabled": True}
    wait_for(client, job["id"])
    again = hand_in(client, init_image=request["init_image"], mask=request["mask"])
    assert again["request"]["mask"] == {"sha256": fingerprint(mask)}  # type: ignore[index]
    kept = wire.from_json(service.desk.get(str(again["id"])).request, service.blobs.find)
    assert kept.init_image is not None
    assert kept.init_image.tobytes() == picture.tobytes()
    done = wait_for(client, again["id"])
    third = hand_in(client, init_image=done["items"][0]["picture"])  # type: ignore[index]
    assert wait_for(client, third["id"])["state"] == "done"


@pytest.mark.parametrize(
    ("request_", "field", "word"),
    [
        ({"init_image": {"sha256": "0" * 64}}, "init_image", "base64"),
        ({"init_image": {"sha256": "../../etc/passwd"}}, "init_image", "picture"),
        ({"init_image": 3}, "init_image", "picture"),
        ({"mask": encoded(Image.new("L", (8, 8)))}, "mask", "init_image"),
        ({"init_image": encoded(Image.new("L", (8, 8))), "mask": encoded(Image.new("L", (9, 8)))}, "mask", "9x8"),
        ({"only_masked": True}, "only_masked", "mask"),
        ({"hires": {"scale": 17}}, "hires.scale", "16"),
        ({"hires": {"upscaler": "Latnt"}}, "upscaler", "Latent"),
        ({"hires": {"model": "../../etc/passwd"}}, None, "passwd"),
        ({"refiner": "/etc/passwd"}, None, "passwd"),
        ({"width": 1024, "hires": {"scale": 4}}, "hires.scale", "2048"),
        ({"hires": {"prompt": "<lora:a:1>" * 40}}, "prompt", "networks"),
    ],
)
def test_editing_has_its_errors_named(
    client: TestClient, request_: dict[str, object], field: str | None, word: str
) -> None:
    answer = client.post("/api/v1/jobs", json={"request": request_})
    assert answer.status_code in (404, 422)
    told = answer.json()
    assert told["field"] == field
    assert word in told["message"] + told["remedy"]


def test_a_text_names_the_pictures_that_are_kept(client: TestClient) -> None:
    picture = Image.new("RGB", (8, 8), (1, 2, 3))
    hand_in(client, init_image=encoded(picture))
    text = f"a cat\nSteps: 4, Sampler: Euler, CFG scale: 7, Seed: 3, Init image hash: {fingerprint(picture)}"
    text += f", Mask hash: {'0' * 64}"
    request = client.post("/api/v1/inspect", json={"infotext": text}).json()["request"]
    assert request["init_image"] == {"sha256": fingerprint(picture)}
    assert "mask" not in request


def test_the_pictures_a_job_starts_from_can_be_seen_again(client: TestClient) -> None:
    picture = Image.new("RGB", (16, 8), (10, 20, 30))
    job = hand_in(client, init_image=encoded(picture), mask=encoded(Image.new("L", (16, 8), 255)))["id"]
    answer = client.get(f"/api/v1/jobs/{job}/sources/init_image")
    assert answer.headers["content-type"] == "image/png"
    assert images.load_of(answer.content).tobytes() == picture.tobytes()
    assert client.get(f"/api/v1/jobs/{job}/sources/mask").status_code == 200
    assert client.get(f"/api/v1/jobs/{job}/sources/depth").status_code == 404
    assert client.get(f"/api/v1/jobs/{job}/sources/prompt").status_code == 422
