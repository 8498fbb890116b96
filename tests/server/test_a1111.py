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
from tests.server.conftest import context_of
from tests.support.service import PaintingService

from inkwash.core import images
from inkwash.core.choices import LATENT_UPSCALERS
from inkwash.core.request import HiresPass, SoftInpainting
from inkwash.core.wire import from_json
from inkwash.server.a1111.tasks import REMEMBERED, Tasks

API = "/sdapi/v1"


def draw(client: TestClient, **body: object) -> dict[str, Any]:
    answer = client.post(f"{API}/txt2img", json={"prompt": "a cat", "seed": 3, "width": 64, "height": 64, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def first_model(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{API}/sd-models").json()[0]
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
        ({"alwayson_scripts": {"tiled vae": {"args": [True, "big"]}}}, 422, "encoder_tile_size"),
        ({"enable_hr": True, "hr_upscaler": "R-ESRGAN 9x"}, 422, "upscaler"),
        ({"enable_hr": True, "hr_scale": 99}, 422, "hires.scale"),
        ({"enable_hr": True, "hr_checkpoint_name": "../../etc/passwd"}, 404, "passwd"),
        ({"refiner_checkpoint": "absent"}, 404, "absent"),
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


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([True, 960, 64, True, True, True, False], {"enabled": True, "encoder_tile": 960, "decoder_tile": 64}),
        ([True, 960, 96.0, True, False, False], {"enabled": True, "encoder_tile": 960, "fast": False}),
        ([{"enabled": True, "decoder_tile_size": 4}], {"enabled": True, "decoder_tile": 8}),
        ([False, 960, 64], None),
        ([], None),
    ],
)  # fmt: skip
def test_tiled_vae_is_taken(client: TestClient, service: PaintingService, args: list[object], expected: object) -> None:
    draw(client, alwayson_scripts={"Tiled VAE": {"args": args}})
    assert service.desk.list(limit=1)[0].request.get("vae_tiles") == expected


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
    assert client.get("/internal/pending-tasks").json()["size"] == 0
    assert client.get(f"{API}/progress?skip_current_image=true").json()["current_image"] is None
    task = client.post("/internal/progress", json={"id_task": "task(1)"}).json()
    assert task["active"] is True
    assert task["live_preview"].startswith("data:image/webp;base64,")
    again = client.post("/internal/progress", json={"id_task": "task(1)", "id_live_preview": task["id_live_preview"]})
    assert again.json()["live_preview"] is None
    assert client.post(f"{API}/interrupt").json() == {}
    service.let_go.set()
    thread.join()
    assert len(answers[0]["images"]) == 1  # the one at work, as it stood; the second was not begun
    assert json.loads(answers[0]["info"])["interrupted"] is True
    assert client.post("/internal/progress", json={"id_task": "task(1)"}).json()["completed"] is True
    assert client.post("/internal/progress", json={"id_task": "never"}).json()["completed"] is False


def test_interrupt_leaves_others_alone(opened: Any, service: PaintingService) -> None:
    client = opened(passwords="ann:a,bob:b")
    service.let_go.clear()
    answers: list[int] = []

    def ann() -> None:
        body = {"steps": 2, "save_images": True}
        answers.append(client.post(f"{API}/txt2img", json=body, auth=("ann", "a")).status_code)

    thread = threading.Thread(target=ann)
    thread.start()
    service.at_work.wait()
    job = client.get("/api/v1/jobs", auth=("ann", "a")).json()["jobs"][0]["id"]
    assert client.post(f"{API}/interrupt", auth=("bob", "b")).status_code == 200
    assert client.get(f"{API}/progress", auth=("bob", "b")).json()["state"]["job_count"] == 0
    assert client.get(f"/api/v1/jobs/{job}", auth=("bob", "b")).status_code == 404
    assert client.post(f"/api/v1/jobs/{job}/cancel", auth=("bob", "b")).status_code == 404
    pushed = client.post("/api/v1/jobs", json={"request": {}, "priority": 5}, auth=("bob", "b"))
    assert (pushed.status_code, pushed.json()["field"]) == (403, "priority")
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


def edit(client: TestClient, path: str = "edits", **form: Any) -> Any:
    """Pictures are files, everything else a field."""
    files = [(name, (f"{name}.png", one)) for name, one in form.items() if isinstance(one, bytes)]
    fields = {name: one for name, one in form.items() if not isinstance(one, bytes)}
    return client.post(f"/v1/images/{path}", data=fields, files=files or {"none": b""})


def holed(size: tuple[int, int] = (16, 16), hole: int = 0) -> bytes:
    """Grey, with so many rows rubbed out at the top."""
    image = Image.new("RGBA", size, (90, 90, 90, 255))
    image.paste((0, 0, 0, 0), (0, 0, size[0], hole))
    return images.encode(image)


def test_openai_edits(client: TestClient, service: PaintingService) -> None:
    answer = edit(client, prompt="a hat", image=holed(), mask=holed(hole=4), n=2, size="64x64", quality="high",
                  model="gpt-image-1", response_format="b64_json")  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert [decoded(one["b64_json"]).size for one in answer.json()["data"]] == [(64, 64)] * 2
    first = from_json(service.desk.list(limit=1)[0].request, service.blobs.find)
    assert first.mask is not None
    assert first.mask.getbbox() == (0, 0, 16, 4)
    assert (first.prompt, first.denoising_strength, first.inpainting_fill, first.batch_count) == ("a hat", 1, "fill", 2)
    url = edit(client, prompt="a hat", **{"image[]": holed(hole=8)}).json()["data"][0]["url"]
    assert client.get(url).headers["content-type"] == "image/png"
    second = from_json(service.desk.list(limit=1)[0].request, service.blobs.find)
    assert second.mask is not None
    assert second.mask.getbbox() == (0, 0, 16, 8)  # the picture's own holes
    assert edit(client, prompt="a hat", image=holed()).status_code == 200
    assert edit(client, "variations", image=holed(), n=1).status_code == 200
    whole, varied = (from_json(job.request, service.blobs.find) for job in reversed(service.desk.list(limit=2)))
    assert (whole.mask, whole.denoising_strength, varied.prompt) == (None, 0.75, "")
    assert varied.init_image is not None


@pytest.mark.parametrize(
    ("form", "word"),
    [
        ({"image": b"no picture"}, "not a picture"),
        ({"image": b""}, "empty"),
        ({}, "0 pictures"),
        ({"image": holed(), "image[]": holed()}, "2 pictures"),
        ({"image": holed(), "mask": holed()}, "transparent"),
        ({"image": holed(), "mask": holed((8, 8), hole=2)}, "mask is 8x8"),
        ({"image": holed(), "size": "large"}, "size"),
        ({"image": holed(), "n": 11}, "n: "),
        ({"image": holed(), "model": "absent"}, "absent"),
        ({"image": holed((2049, 2048))}, "pixels"),
    ],
)
def test_what_openai_cannot_edit_is_told_in_its_shape(client: TestClient, form: dict[str, Any], word: str) -> None:
    answer = edit(client, prompt="a hat", **form)
    assert answer.status_code in (404, 422)
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert word in answer.text


def test_an_edit_that_is_too_large_is_refused_while_it_comes(opened: Any) -> None:
    client = opened(body_mb=1)
    assert edit(client, prompt="x", image=bytes(2**20 + 1)).status_code == 413
    parts = [b"--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n", *[bytes(2**18)] * 5]
    answer = client.post(
        "/v1/images/edits", content=iter(parts), headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert (answer.status_code, set(answer.json())) == (413, {"error"})


def test_a_chosen_model_that_was_taken_away_is_forgotten(client: TestClient) -> None:
    context_of(client).options.set("", {"sd_model_checkpoint": "gone.safetensors"})
    assert client.get(f"{API}/options").json()["sd_model_checkpoint"].startswith("inkwash")
    assert client.post(f"{API}/txt2img", json={}).status_code == 404


def test_task_ids_are_remembered_up_to_a_bound() -> None:
    tasks = Tasks()
    for number in range(REMEMBERED + 5):
        tasks.put("ann", f"task-{number}", f"job-{number}")
    assert tasks.job("ann", "task-3") is None
    assert tasks.task("job-3") == "job-3"
    assert tasks.job("ann", "task-9") == "job-9"
    tasks.put("ann", "task-9", "job-other")
    assert tasks.task("job-9") == "job-9"
    assert tasks.task("job-other") == "task-9"
    assert tasks.job("bob", "task-9") is None


def test_a_second_pass(client: TestClient, service: PaintingService) -> None:
    answer = draw(client, enable_hr=True, hr_scale=1.5, hr_upscaler="Latent (nearest)", hr_second_pass_steps=3,
                  denoising_strength=0.4, hr_sampler_name="Euler a", hr_scheduler="Use same scheduler",
                  hr_checkpoint_name="Use same checkpoint", hr_prompt="a large cat")  # fmt: skip
    assert decoded(answer["images"][0]).size == (96, 96)
    request = from_json(service.desk.list(limit=1)[0].request)
    assert request.hires == HiresPass(
        scale=1.5, upscaler="Latent (nearest)", steps=3, denoising_strength=0.4, sampler="Euler a", prompt="a large cat"
    )  # fmt: skip
    draw(client, enable_hr=True, hr_upscaler="None", hr_resize_x=128, hr_checkpoint_name=first_model(client)["title"])
    request = from_json(service.desk.list(limit=1)[0].request)
    assert request.hires is not None
    assert (request.hires.width, request.hires.upscaler, request.hires.denoising_strength) == (128, "Lanczos", 0.75)
    assert request.hires.model == first_model(client)["filename"]
    draw(client, enable_hr=True, firstphase_width=32, firstphase_height=40)
    request = from_json(service.desk.list(limit=1)[0].request)
    assert (request.width, request.height) == (32, 40)
    assert request.hires is not None
    assert (request.hires.width, request.hires.height) == (64, 64)
    draw(client, enable_hr=False, hr_upscaler="absent", denoising_strength=0.2)
    assert "hires" not in service.desk.list(limit=1)[0].request


def test_a_refiner_takes_over(client: TestClient, service: PaintingService) -> None:
    draw(client, refiner_checkpoint=first_model(client)["title"], refiner_switch_at=0.6)
    request = service.desk.list(limit=1)[0].request
    assert (request["refiner"], request["refiner_switch_at"]) == (first_model(client)["filename"], 0.6)
    draw(client, refiner_checkpoint="None", refiner_switch_at=0.6)
    assert "refiner" not in service.desk.list(limit=1)[0].request


def test_img2img_with_a_mask(client: TestClient, service: PaintingService) -> None:
    body = {
        "prompt": "a hat", "width": 64, "height": 64, "seed": 3, "init_images": [picture((48, 32))],
        "mask": picture((24, 16)), "resize_mode": 2, "mask_blur": 6, "inpainting_fill": 2, "inpainting_mask_invert": 1,
        "inpaint_full_res_padding": 12, "initial_noise_multiplier": 0.9, "denoising_strength": 0.6,
        "alwayson_scripts": {"Soft Inpainting": {"args": [True, 2, 0.25, 4, 0, 0.5, 2]}},
        "override_settings": {"img2img_fix_steps": True},
    }  # fmt: skip
    answer = client.post(f"{API}/img2img", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert decoded(told["images"][0]).size == (64, 64)
    assert told["parameters"]["init_images"] is None
    assert told["parameters"]["mask"] is None
    job = service.desk.list(limit=1)[0]
    request = from_json(job.request, service.blobs.find)
    assert request.init_image is not None
    assert request.mask is not None
    assert (request.init_image.size, request.mask.size) == ((48, 32), (48, 32))  # a mask of another size is fitted
    assert (request.resize_mode, request.inpainting_fill) == ("resize and fill", "latent noise")
    assert (request.mask_blur, request.mask_invert, request.only_masked, request.only_masked_padding) == (
        6,
        True,
        True,
        12,
    )
    assert (request.initial_noise_multiplier, request.denoising_strength, request.exact_steps) == (0.9, 0.6, True)
    assert request.soft_inpainting == SoftInpainting(schedule_bias=2, preservation_strength=0.25)
    assert "iVBOR" not in json.dumps(dict(job.request))  # the database holds the picture's name, not the picture
    with_pictures = client.post(f"{API}/img2img", json=body | {"include_init_images": True}).json()
    assert with_pictures["parameters"]["init_images"] == body["init_images"]


def test_holes_of_a_mask_count_as_in_a1111(client: TestClient, service: PaintingService) -> None:
    brushed = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    brushed.putpixel((2, 3), (0, 0, 0, 255))
    body = {"init_images": [picture()], "mask": base64.b64encode(images.encode(brushed)).decode(), "mask_blur_x": 2}
    assert client.post(f"{API}/img2img", json=body | {"width": 64, "height": 64}).status_code == 200
    request = from_json(service.desk.list(limit=1)[0].request, service.blobs.find)
    assert request.mask is not None
    assert request.mask.getbbox() == (2, 3, 3, 4)
    assert (request.mask_blur, request.mask_blur_y) == (2, 4)
    more = {"mask_blur": 5, "mask_round": False, "latent_mask": picture((4, 4)), "width": 64, "height": 64}
    told = client.post(f"{API}/img2img", json=body | more).json()
    assert told["parameters"]["latent_mask"] is None
    request = from_json(service.desk.list(limit=1)[0].request, service.blobs.find)
    assert (request.mask_blur, request.mask_blur_y, request.mask_round) == (5, None, False)
    assert request.latent_mask is not None
    assert request.latent_mask.size == (8, 8)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"resize_mode": 4}, "resize_mode"),
        ({"inpainting_fill": -1, "mask": picture()}, "inpainting_fill"),
        ({"denoising_strength": 2}, "denoising_strength"),
        ({"init_images": ["no base64!"]}, "base64"),
        ({"init_images": [base64.b64encode(b"no picture").decode()]}, "not a picture"),
        ({"init_images": [picture()] * 257}, "init_images"),
        ({"init_images": [picture()] * 2, "script_name": "loopback"}, "init_images"),
        ({"script_name": "loopback", "script_args": [0]}, "Loops"),
        ({"script_name": "loopback", "script_args": [2, 0.5, "Steep"]}, "Linear"),
        ({"mask": picture(), "alwayson_scripts": {"soft inpainting": {"args": [True, "x"]}}}, "inpainting"),
        ({"init_images": ["http://127.0.0.1:1/cat.png"]}, "allow_image_urls"),
        ({"init_images": [picture((2049, 2048))]}, "pixels"),
    ],
)
def test_what_cannot_be_drawn_over_is_named(client: TestClient, body: dict[str, object], word: str) -> None:
    answer = client.post(f"{API}/img2img", json={"init_images": [picture()], "width": 64, "height": 64} | body)
    assert answer.status_code == 422
    assert word in answer.text


def test_upscalers_are_those_there_are(client: TestClient) -> None:
    assert [one["name"] for one in client.get(f"{API}/upscalers").json()][:3] == ["None", "Nearest", "Lanczos"]
    assert {one["name"] for one in client.get(f"{API}/latent-upscale-modes").json()} == set(LATENT_UPSCALERS)


def faces_of(client: TestClient, service: PaintingService, **body: object) -> tuple[object, object]:
    """What the queued request says of faces."""
    draw(client, **body)
    request = service.desk.list(limit=1)[0].request
    return request.get("restore_faces"), request.get("codeformer_weight")


def test_faces_are_restored_as_the_request_or_the_options_say(client: TestClient, service: PaintingService) -> None:
    for folder, name in (("GFPGAN", "GFPGANv1.4"), ("Codeformer", "codeformer-v0.1.0")):
        path = context_of(client).settings.models_dir / "models" / folder / f"{name}.pth"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    assert faces_of(client, service) == (None, None)
    assert faces_of(client, service, restore_faces=True) == ("GFPGANv1.4", None)  # CodeFormer's package is not here
    chosen = {"face_restoration_model": "CodeFormer", "code_former_weight": 0.25}
    asked = faces_of(client, service, restore_faces=True, override_settings=chosen)
    assert asked == ("codeformer-v0.1.0", 0.25)
    client.post(f"{API}/options", json={"face_restoration": True, "face_restoration_model": "GFPGAN"})
    assert faces_of(client, service) == ("GFPGANv1.4", None)
    assert faces_of(client, service, restore_faces=False) == (None, None)
    info = json.loads(draw(client)["info"])
    assert (info["restore_faces"], info["face_restoration_model"]) == (True, "GFPGANv1.4")


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"restore_faces": True}, 404, "GFPGANv1.4.pth"),
        ({"restore_faces": True, "override_settings": {"face_restoration_model": "CodeFormer"}}, 404, "Codeformer"),
        ({"override_settings": {"face_restoration": "yes"}}, 422, "face_restoration"),
        ({"override_settings": {"code_former_weight": 2}}, 422, "codeformer_weight"),
    ],
)
def test_faces_that_cannot_be_restored_are_told(
    client: TestClient, body: dict[str, object], status: int, word: str
) -> None:
    answer = client.post(f"{API}/txt2img", json=body)
    assert answer.status_code == status
    assert word in answer.text
