"""The plan of an enlarging over HTTP, and pictures that are only enlarged."""

from __future__ import annotations

import base64
import dataclasses
import io
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.server.test_native import wait_for
from tests.support.service import PaintingService

from inkwash.checkpoint import detect
from inkwash.checkpoint.catalog import BOX
from inkwash.core import images
from inkwash.core.settings import Memory, Settings
from inkwash.generation.enlarging import Target, plan_enlarging, request_of
from inkwash.jobs.serving import System, WorkerState
from inkwash.server.app import open_context
from inkwash.server.native import enlarge

API = "/api/v1"
TEXT = "a cat, best quality\nNegative prompt: blurry\nSteps: 9, Sampler: Euler, CFG scale: 5, Seed: 4, Size: 64x48"
PHOTO = Image.linear_gradient("L").resize((64, 48)).convert("RGB")


def plan(client: TestClient, **asked: object) -> dict[str, Any]:
    answer = client.post(f"{API}/enlarge/plan", json={"width": 64, "height": 48, "infotext": TEXT} | asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def encoded(image: Image.Image, text: str = "") -> str:
    return base64.b64encode(images.encode(image, text)).decode()


def laid(settings: Settings, name: str) -> None:
    """A file that is found, and not opened."""
    assert settings.models_dir is not None
    folder = settings.models_dir / "models" / "ESRGAN"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"")


def test_the_plan_keeps_to_the_memory_that_the_service_may_take(
    settings: Settings, service: PaintingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = WorkerState(state="idle", memory=900_000_000, gpu_total=8_000_000_000, gpu_free=7_500_000_000)
    for limit, worker, free in (
        (0.0, WorkerState(memory=900_000_000), 6_000_000_000),
        (2.0, WorkerState(memory=900_000_000), 1_100_000_000),  # less what it holds
        (0.5, WorkerState(memory=900_000_000), 0),
        (0.0, card, 7_500_000_000),
        (2.0, card, 1_500_000_000),
    ):
        monkeypatch.setattr(service, "system", lambda worker=worker: System(worker=worker, memory_free=6_000_000_000))
        context = open_context(dataclasses.replace(settings, memory=Memory(limit=limit)), service)
        assert enlarge._free(context) == free


class Four:
    itemsize = 4


def test_the_plan_is_that_of_the_command_line(client: TestClient) -> None:
    found = plan(client, to=1024, upscaler="lanczos")
    spec = detect(next(BOX.glob("*.safetensors")))
    base = request_of(TEXT, whole_prompt=False)
    expected = plan_enlarging(base, (64, 48), Target(to=1024), spec, Four(), found["free"])
    told = [(one["width"], one["height"], one["road"], one["tiles"], one["memory"]) for one in found["passes"]]
    assert told == [(*one.size, one.road, one.tiles, one.memory) for one in expected]
    assert (found["prompt"], found["negative_prompt"]) == ("best quality", "blurry")
    request = found["passes"][0]["request"]
    assert (request["steps"], request["sampler"], request["seed"], request["cfg_scale"]) == (9, "Euler", 4, 5.0)
    assert (request["denoising_strength"], request["keep_structure"]) == (0.35, 0.75)


def test_what_is_asked_for_speaks_over_the_picture(client: TestClient) -> None:
    found = plan(client, scale=3, road="SD upscale", tile=96, overlap=24, prompt="x", negative_prompt="", seed=7,
                 steps=3, strength=0.2, keep_structure=0, noise_inversion=False, upscaler="Nearest")  # fmt: skip
    (one,) = found["passes"]
    request = one["request"]
    assert (one["width"], one["height"], one["strength"]) == (192, 144, 0.2)
    assert request["sd_upscale"] == {"enabled": True, "upscaler": "Nearest", "scale": 3.0, "overlap": 24}
    assert (request["width"], request["prompt"], request["seed"], request["steps"]) == (96, "x", 7, 3)
    assert "noise_inversion" not in request
    assert plan(client, whole_prompt=True)["prompt"] == "a cat, best quality"


def test_the_passes_are_drawn_one_from_the_other(client: TestClient) -> None:
    picture: str = encoded(PHOTO)
    for one in plan(client, to=512)["passes"]:
        job = client.post(f"{API}/jobs", json={"request": one["request"] | {"init_image": picture}})
        assert job.status_code == 201, job.text
        wait_for(client, job.json()["id"])
        picture = client.get(f"{API}/jobs/{job.json()['id']}").json()["items"][0]["picture"]
    assert client.get(f"{API}/pictures").json()["total"] == 2


def test_a_learned_upscaler_is_planned_with_where_there_is_one(client: TestClient, settings: Settings) -> None:
    laid(settings, "4x-Foo.pth")
    assert (
        plan(client, upscaler="4x-foo", road="multidiffusion")["passes"][0]["request"]["tiled"]["upscaler"] == "4x-Foo"
    )
    assert plan(client, upscaler="4x-foo", redraw=False)["passes"][0]["upscaler"] == "4x-Foo"
    assert plan(client)["passes"][0]["upscaler"] != "Lanczos"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"to": 64}, "to"), ({"to": 100, "scale": 2}, "scale"), ({"scale": 400}, "to"), ({"tile": 32}, "tile"),
        ({"upscaler": "lancos"}, "upscaler"), ({"road": "x"}, "road"), ({"model": "absent"}, None),
        ({"sampler": "Eulr"}, "sampler"), ({"to": 32, "redraw": False}, "to"), ({"to": 4096, "redraw": False}, "to"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(client: TestClient, asked: dict[str, object], field: str | None) -> None:
    answer = client.post(f"{API}/enlarge/plan", json={"width": 64, "height": 48} | asked)
    assert answer.status_code in (404, 422), answer.text
    assert answer.json()["field"] == field
    assert answer.json()["remedy"]


def test_what_is_only_enlarged_hangs_in_the_gallery_with_its_text(client: TestClient, settings: Settings) -> None:
    (one,) = plan(client, redraw=False, scale=2.5, upscaler="Lanczos")["passes"]
    assert (one["kind"], one["road"], one["memory"]) == ("extras", None, None)
    body = {"kind": "extras", "request": one["request"] | {"image": encoded(PHOTO, TEXT)}}
    job = client.post(f"{API}/jobs", json=body)
    assert job.status_code == 201, job.text
    wait_for(client, job.json()["id"])
    (item,) = client.get(f"{API}/jobs/{job.json()['id']}").json()["items"]
    made = Image.open(io.BytesIO(client.get(f"/{item['url'].lstrip('/')}").content))
    assert made.tobytes() == PHOTO.resize((160, 120), Image.Resampling.LANCZOS).tobytes()
    assert made.info["parameters"] == TEXT
    (kept,) = client.get(f"{API}/pictures").json()["pictures"]
    assert (kept["id"], kept["width"], kept["prompt"]) == (item["picture"], 160, "a cat, best quality")
    assert len(list((settings.outputs_dir / "extras-images").rglob("*.png"))) == 1
    again = {"kind": "extras", "request": one["request"] | {"image": kept["id"]}}
    assert client.post(f"{API}/jobs", json=again).status_code == 201


def test_faces_are_restored_with_or_without_enlarging(client: TestClient, settings: Settings) -> None:
    path = settings.models_dir / "models" / "Codeformer" / "codeformer-v0.1.0.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    request = {"image": encoded(PHOTO, TEXT), "upscaler": "None", "width": 64, "height": 48,
               "restore_faces": "CodeFormer", "face_visibility": 0.5, "codeformer_weight": 0.25}  # fmt: skip
    job = client.post(f"{API}/jobs", json={"kind": "extras", "request": request})
    assert job.status_code == 201, job.text
    wait_for(client, job.json()["id"])
    (item,) = client.get(f"{API}/jobs/{job.json()['id']}").json()["items"]
    made = Image.open(io.BytesIO(client.get(f"/{item['url'].lstrip('/')}").content))
    assert made.info["postprocessing"] == "CodeFormer visibility: 0.5, CodeFormer weight: 0.25"
    assert made.getpixel((4, 4)) == (128, 128, 128)
    assert made.crop((32, 0, 64, 48)).tobytes() == PHOTO.crop((32, 0, 64, 48)).tobytes()
    assert client.get(f"{API}/models").json()["face_restorers"] == ["codeformer-v0.1.0"]
    wrong = client.post(f"{API}/jobs", json={"kind": "extras", "request": request | {"restore_faces": "absent"}})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "restore_faces")


@pytest.mark.parametrize(
    "request_", [{}, {"image": "x"}, {"image": "!", "width": 9, "height": 9}, {"image": "", "width": 0, "height": 1}]
)
def test_a_senseless_extras_job_is_refused(client: TestClient, request_: dict[str, object]) -> None:
    answer = client.post(f"{API}/jobs", json={"kind": "extras", "request": request_})
    assert answer.status_code == 422
    assert answer.json()["remedy"]


def test_planning_needs_no_torch() -> None:
    code = "import sys, inkwash.server.native.enlarge; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
