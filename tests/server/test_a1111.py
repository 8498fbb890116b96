"""A1111's API as its clients use it."""

from __future__ import annotations

import base64
import io
import json
import threading
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.support.service import PaintingService

from inkwash.core import images

API = "/sdapi/v1"


def draw(client: TestClient, **body: object) -> dict[str, Any]:
    answer = client.post(f"{API}/txt2img", json={"prompt": "a cat", "seed": 3, "width": 64, "height": 64, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def picture(size: tuple[int, int] = (8, 8), text: str = "") -> str:
    return base64.b64encode(images.encode(Image.new("RGB", size), text)).decode()


def test_txt2img_answers_pictures_and_info(client: TestClient) -> None:
    answer = draw(client, batch_size=2, n_iter=2, sampler_name="DPM++ 2M Karras", steps=5, unknown_field={"x": 1})
    assert [decoded(one).size for one in answer["images"]] == [(64, 64)] * 4
    info = json.loads(answer["info"])
    assert info["all_seeds"] == [3, 4, 5, 6]
    assert info["sampler_name"] == "DPM++ 2M"
    assert info["extra_generation_params"]["Schedule type"] == "Karras"
    assert len(info["infotexts"]) == 4
    assert info["index_of_first_image"] == 0
    assert answer["parameters"]["steps"] == 5
    assert answer["parameters"]["sampler_index"] == "Euler"


def test_a_grid_stands_first_only_where_pictures_are_saved(client: TestClient) -> None:
    answer = draw(client, batch_size=2, save_images=True)
    assert [decoded(one).size for one in answer["images"]] == [(128, 64), (64, 64), (64, 64)]
    info = json.loads(answer["info"])
    assert info["index_of_first_image"] == 1
    assert len(info["infotexts"]) == 3
    assert len(draw(client, batch_size=2, save_images=True, do_not_save_grid=True)["images"]) == 2
    assert len(draw(client, save_images=True)["images"]) == 1
    assert draw(client, send_images=False)["images"] == []


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"sampler_name": "Eulr"}, 400, "Sampler not found"),
        ({"scheduler": "nonsense"}, 400, "Scheduler not found"),
        ({"script_name": "xyz"}, 422, "Script not found"),
        ({"alwayson_scripts": {"foo": {"args": []}}}, 422, "not found"),
        ({"enable_hr": True}, 422, "enable_hr"),
        ({"width": 0}, 422, "width"),
        ({"steps": 10**9}, 422, "steps"),
        ({"prompt": 3}, 422, "prompt"),
        ({"override_settings": {"sd_model_checkpoint": "absent"}}, 404, "absent"),
        ({"override_settings": {"CLIP_stop_at_last_layers": "x"}}, 422, "CLIP_stop"),
        ({"prompt": "fail"}, 422, "wildcard"),
    ],
)
def test_errors_have_a1111s_shape(client: TestClient, body: dict[str, object], status: int, word: str) -> None:
    answer = client.post(f"{API}/txt2img", json=body)
    assert answer.status_code == status
    told = answer.json()
    assert set(told) == {"error", "detail", "body", "errors"}
    assert word in json.dumps(told)


def test_null_is_the_default_and_empty_controlnet_units_are_nothing(client: TestClient) -> None:
    units = [{"enabled": False}, {"model": None}]
    nulls = dict.fromkeys(("styles", "sampler_name", "eta", "restore_faces", "steps", "override_settings"))
    draw(client, scheduler="automatic", alwayson_scripts={"ControlNet": {"args": units}}, **nulls)


def test_options_and_overrides_act(client: TestClient, service: PaintingService) -> None:
    client.post(f"{API}/options", json={"CLIP_stop_at_last_layers": 2, "sigma_max": 9.5, "eta_ddim": 0.5})
    draw(client, override_settings={"randn_source": "NV"}, sampler_name="DDIM")
    request = service.desk.list(limit=1)[0].request
    assert (request["clip_skip"], request["noise_source"], request["sigma_max"], request["eta"]) == (2, "NV", 9.5, 0.5)
    draw(client, sampler_name="DDIM")
    assert "noise_source" not in service.desk.list(limit=1)[0].request
    draw(client, override_settings={"emphasis": "No norm"}, override_settings_restore_afterwards=False)
    assert client.get(f"{API}/options").json()["emphasis"] == "No norm"


def test_all_options_go_out_and_back_in(client: TestClient) -> None:
    before = client.get(f"{API}/options").json()
    assert len(before) > 60
    assert before["sd_model_checkpoint"].startswith("inkwash")
    assert client.post(f"{API}/options", json=before).json() is None
    assert client.get(f"{API}/options").json() == before
    everything_null = dict.fromkeys(before)
    assert client.post(f"{API}/options", json=everything_null).status_code == 200
    assert client.get(f"{API}/options").json() == before
    assert client.post(f"{API}/options", json={"sd_model_checkpoint": "absent"}).status_code == 404
    assert client.post(f"{API}/options", json={"tiling": "yes"}).status_code == 422
    assert client.post(f"{API}/options", json={"some_extension_option": 3}).status_code == 200


def test_progress_and_interrupt(client: TestClient, service: PaintingService) -> None:
    idle = client.get(f"{API}/progress").json()
    assert idle["progress"] == 0.0
    assert idle["state"]["job_count"] == 0
    assert set(idle) == {"progress", "eta_relative", "state", "current_image", "textinfo"}
    service.let_go.clear()
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(draw(client, n_iter=2, force_task_id="task(1)", steps=4)))
    thread.start()
    service.at_work.wait()
    busy = client.get(f"{API}/progress").json()
    assert 0 < busy["progress"] < 1
    assert busy["state"]["sampling_steps"] == 4
    assert busy["state"]["job_count"] == 2
    assert decoded(busy["current_image"]).size == (8, 8)
    assert client.get(f"{API}/progress?skip_current_image=true").json()["current_image"] is None
    task = client.post("/internal/progress", json={"id_task": "task(1)"}).json()
    assert task["active"] is True
    assert task["live_preview"].startswith("data:image/webp;base64,")
    again = client.post("/internal/progress", json={"id_task": "task(1)", "id_live_preview": task["id_live_preview"]})
    assert again.json()["live_preview"] is None
    assert client.post(f"{API}/interrupt").json() == {}
    thread.join()
    service.let_go.set()
    assert answers[0]["images"] == []
    assert client.post("/internal/progress", json={"id_task": "task(1)"}).json()["completed"] is True
    assert client.post("/internal/progress", json={"id_task": "never"}).json()["completed"] is False


def test_interrupt_leaves_others_alone(opened: Any, service: PaintingService) -> None:
    client = opened(passwords="ann:a,bob:b")
    service.let_go.clear()
    answers: list[int] = []

    def ann() -> None:
        answers.append(client.post(f"{API}/txt2img", json={"steps": 2}, auth=("ann", "a")).status_code)

    thread = threading.Thread(target=ann)
    thread.start()
    service.at_work.wait()
    job = client.get("/api/v1/jobs", auth=("ann", "a")).json()["jobs"][0]["id"]
    assert client.post(f"{API}/interrupt", auth=("bob", "b")).status_code == 200
    assert client.get(f"{API}/progress", auth=("bob", "b")).json()["state"]["job_count"] == 0
    assert client.get(f"/api/v1/jobs/{job}", auth=("bob", "b")).status_code == 404
    assert client.post(f"/api/v1/jobs/{job}/cancel", auth=("bob", "b")).status_code == 404
    assert client.get(f"/api/v1/jobs/{job}", auth=("ann", "a")).json()["state"] == "running"
    service.let_go.set()
    thread.join()
    assert answers == [200]
    assert client.get(f"/api/v1/pictures/{job}-0/file", auth=("ann", "a")).status_code == 200
    assert client.get(f"/api/v1/pictures/{job}-0/file", auth=("bob", "b")).status_code == 404
    assert client.get("/api/v1/pictures", auth=("bob", "b")).json()["total"] == 0


def test_png_info(client: TestClient) -> None:
    text = "a cat\nSteps: 4, Sampler: Euler, CFG scale: 7, Seed: 3, Size: 64x64"
    raw = picture(text=text)
    for sent in (raw, f"data:image/png;base64,{raw}"):
        told = client.post(f"{API}/png-info", json={"image": sent}).json()
        assert told["info"] == text
        assert told["parameters"]["Seed"] == "3"
    assert client.post(f"{API}/png-info", json={"image": picture()}).json()["info"] == ""
    assert client.post(f"{API}/png-info", json={"image": "no base64!"}).status_code == 422
    assert client.post(f"{API}/png-info", json={"image": base64.b64encode(b"no picture").decode()}).status_code == 422
    answer = client.post(f"{API}/png-info", json={"image": "http://127.0.0.1:1/cat.png"})
    assert answer.status_code == 422
    assert "allow_image_urls" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "samplers", "schedulers", "upscalers", "latent-upscale-modes", "sd-models", "sd-vae", "hypernetworks",
        "face-restorers", "realesrgan-models", "prompt-styles", "script-info", "extensions", "loras",
    ],
)  # fmt: skip
def test_lists_are_lists(client: TestClient, path: str) -> None:
    assert isinstance(client.get(f"{API}/{path}").json(), list)


def test_what_lists_hold(client: TestClient) -> None:
    assert "Euler a" in [one["name"] for one in client.get(f"{API}/samplers").json()]
    assert {"name", "label", "aliases", "default_rho", "need_inner_model"} == set(
        client.get(f"{API}/schedulers").json()[0]
    )
    model = client.get(f"{API}/sd-models").json()[0]
    assert set(model) == {"title", "model_name", "hash", "sha256", "filename", "config"}
    assert model["title"] == f"{model['filename']} [{model['hash']}]"
    assert set(client.get(f"{API}/memory").json()) == {"ram", "cuda"}
    assert client.get(f"{API}/prompt-styles").json()[0]["name"] == "ink"
    assert client.get(f"{API}/cmd-flags").json()["api"] is True
    assert client.get(f"{API}/embeddings").json() == {"loaded": {}, "skipped": {}}
    assert client.get("/controlnet/model_list").json() == {"model_list": []}
    assert client.get("/internal/pending-tasks").json() == {"size": 0, "tasks": []}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/sdapi/v1/img2img", {}, 404),
        ("/sdapi/v1/img2img", {"init_images": [picture()]}, 422),
        ("/sdapi/v1/extra-single-image", {"image": picture()}, 422),
        ("/sdapi/v1/extra-batch-images", {"imageList": []}, 422),
        ("/sdapi/v1/interrogate", {"image": picture()}, 422),
        ("/sdapi/v1/interrogate", {}, 404),
        ("/sdapi/v1/train/embedding", {"name": "x"}, 422),
        ("/controlnet/detect", {"controlnet_input_images": [picture()]}, 422),
        ("/sdapi/v1/nothing", {}, 404),
        ("/sdapi/v1/server-kill", {}, 404),
    ],
)
def test_what_is_not_here_says_so(client: TestClient, path: str, body: object, status: int) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "detail", "body", "errors"}


def test_openai(client: TestClient) -> None:
    asked = {"prompt": "a cat", "n": 2, "size": "64x64", "model": "dall-e-3", "quality": "hd"}
    answer = client.post("/v1/images/generations", json=asked).json()
    assert len(answer["data"]) == 2
    assert client.get(answer["data"][0]["url"]).headers["content-type"] == "image/png"
    inline = client.post("/v1/images/generations", json=asked | {"response_format": "b64_json"}).json()
    assert decoded(inline["data"][1]["b64_json"]).size == (64, 64)
    for wrong in ({"size": "big"}, {"n": 11}, {"model": "absent"}, {"size": "63x64"}):
        told = client.post("/v1/images/generations", json=asked | wrong)
        assert told.status_code in (404, 422)
        assert set(told.json()["error"]) == {"message", "type", "param", "code"}
