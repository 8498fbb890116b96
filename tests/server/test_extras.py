"""A1111's tab "Extras" over HTTP: enlarged through the queue, in A1111's shapes."""

from __future__ import annotations

import base64
import io
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops
from starlette.testclient import TestClient
from tests.server.conftest import context_of
from tests.support import upscalers
from tests.support.service import PaintingService

from inkwash.core import images
from inkwash.core.settings import Settings

API = "/sdapi/v1"
TEXT = "a cat\nSteps: 4, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 12x8"


def photo(mode: str = "RGB", text: str = "") -> Image.Image:
    image = Image.linear_gradient("L").resize((12, 8)).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").rotate(90).resize((12, 8)))
    return image


def sent(image: Image.Image, text: str = "") -> str:
    return base64.b64encode(images.encode(image, text)).decode()


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def single(client: TestClient, **body: object) -> dict[str, Any]:
    answer = client.post(f"{API}/extra-single-image", json={"image": sent(photo()), "upscaler_1": "Lanczos"} | body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("body", "size", "told"),
    [
        ({"upscaling_resize": 3}, (36, 24), "Postprocess upscale by: 3, Postprocess upscaler: Lanczos"),
        ({}, (24, 16), "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"),
        ({"resize_mode": 1, "upscaling_resize_w": 30, "upscaling_resize_h": 30}, (30, 30), "crop to: 30x30"),
        (
            {"resize_mode": 1, "upscaling_resize_w": 30, "upscaling_resize_h": 30, "upscaling_crop": False},
            (45, 30), "Postprocess upscale to: 30x30, Postprocess upscaler",
        ),
        ({"upscaler_1": "None"}, (12, 8), ""),
        ({"upscaler_1": "nearest"}, (24, 16), "Postprocess upscaler: Nearest"),
    ],
)  # fmt: skip
def test_one_picture(client: TestClient, body: dict[str, object], size: tuple[int, int], told: str) -> None:
    answer = single(client, **body)
    assert set(answer) == {"html_info", "image"}
    assert decoded(answer["image"]).size == size
    assert told in answer["html_info"]


def test_it_is_what_pillow_makes(client: TestClient) -> None:
    made = decoded(single(client, upscaling_resize=2)["image"])
    expected = photo().resize((24, 16), Image.Resampling.LANCZOS)
    assert ImageChops.difference(made, expected).getbbox() is None


def test_a_second_upscaler_is_blended(client: TestClient) -> None:
    made = decoded(single(client, upscaler_2="Nearest", extras_upscaler_2_visibility=0.25)["image"])
    lanczos, nearest = (photo().resize((24, 16), how) for how in (Image.Resampling.LANCZOS, Image.Resampling.NEAREST))
    assert ImageChops.difference(made, Image.blend(lanczos, nearest, 0.25)).getbbox() is None


def test_what_the_picture_says_and_what_is_transparent_are_kept(client: TestClient) -> None:
    answer = decoded(single(client, image=sent(photo("RGBA"), TEXT))["image"])
    assert answer.mode == "RGBA"
    assert answer.getchannel("A").getextrema()[0] < 60
    assert answer.info["parameters"] == TEXT
    assert answer.info["postprocessing"] == "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"


def test_several_pictures_come_back_in_order(client: TestClient) -> None:
    pictures = [Image.new("RGB", (4 + index, 4), (index, 0, 0)) for index in range(3)]
    listed = [{"data": sent(picture), "name": f"{index}.png"} for index, picture in enumerate(pictures)]
    answer = client.post(f"{API}/extra-batch-images", json={"imageList": listed, "upscaler_1": "Nearest"}).json()
    assert [decoded(one).size for one in answer["images"]] == [(8, 8), (10, 8), (12, 8)]
    assert answer["html_info"].count("<p>") == 1


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"upscaler_1": "Lancos"}, "Did you mean Lanczos"),
        ({"upscaler_1": "../../etc/passwd"}, "passwd"),
        ({"upscaler_2": "absent"}, "absent"),
        ({"upscaling_resize": 0}, "scale"),
        ({"upscaling_resize": 17}, "16"),
        ({"image": sent(Image.new("RGB", (1000, 8))), "upscaling_resize": 3}, "2048"),
        ({"resize_mode": 1, "upscaling_resize_w": 4096}, "2048"),
        ({"resize_mode": 1, "upscaling_resize_w": 0}, "no pixels"),
        ({"resize_mode": 2}, "resize_mode"),
        ({"image": ""}, "empty"),
        ({"image": "%%%"}, "base64"),
        ({"gfpgan_visibility": 1.5}, "gfpgan_visibility"),
        ({"codeformer_weight": -1}, "codeformer_weight"),
    ],
)
def test_what_cannot_be_done_is_named(client: TestClient, body: dict[str, object], word: str) -> None:
    answer = client.post(f"{API}/extra-single-image", json={"image": sent(photo()), "upscaler_1": "Lanczos"} | body)
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "detail", "body", "errors"}
    assert word in answer.text


@pytest.fixture
def restorers(settings: Settings) -> None:
    for folder, name in (("GFPGAN", "GFPGANv1.3"), ("GFPGAN", "GFPGANv1.4"), ("Codeformer", "codeformer-v0.1.0")):
        (settings.models_dir / "models" / folder).mkdir(parents=True, exist_ok=True)
        (settings.models_dir / "models" / folder / f"{name}.pth").write_bytes(b"x")


@pytest.mark.usefixtures("restorers")
def test_faces_are_restored_by_the_newest_file_of_each_kind(client: TestClient) -> None:
    grey = Image.new("RGB", (8, 8), (10, 20, 30))
    faces = {"gfpgan_visibility": 0.5, "codeformer_visibility": 1, "codeformer_weight": 0.25, "upscale_first": True}
    answer = single(client, image=sent(grey), **faces)
    assert answer["html_info"] == (
        "<p>Postprocess upscale by: 2, Postprocess upscaler: Lanczos, GFPGAN visibility: 0.5, "
        "CodeFormer visibility: 1, CodeFormer weight: 0.25</p>"
    )
    made = decoded(answer["image"])
    assert made.size == (16, 16)
    assert made.getpixel((4, 4)) == (127, 127, 127)  # half a negative, then its negative
    asked = context_of(client).service.desk.list(limit=1)[0].request
    assert asked["faces"] == [
        {"restorer": "GFPGANv1.4", "visibility": 0.5, "weight": 0.5},
        {"restorer": "codeformer-v0.1.0", "visibility": 1.0, "weight": 0.25},
    ]


@pytest.mark.usefixtures("restorers")
def test_faces_are_restored_before_or_after_the_enlarging_and_without_any(client: TestClient) -> None:
    """The face lies in the first 8 x 8 pixels, of the small picture or of the large one."""
    grey = Image.new("RGB", (40, 40), (10, 20, 30))
    whole = {first: decoded(single(client, image=sent(grey), gfpgan_visibility=1, upscale_first=first)["image"])
             for first in (True, False)}  # fmt: skip
    assert whole[True].getpixel((4, 4)) == whole[False].getpixel((8, 8)) == (245, 235, 225)
    assert whole[True].getpixel((12, 12)) != whole[False].getpixel((12, 12))
    alone = single(client, image=sent(photo("RGBA")), upscaler_1="None", gfpgan_visibility=1)
    made = decoded(alone["image"])
    assert (made.mode, made.size) == ("RGBA", (12, 8))
    assert ImageChops.difference(made.getchannel("A"), photo("RGBA").getchannel("A")).getbbox() is None
    assert alone["html_info"] == "<p>GFPGAN visibility: 1</p>"


@pytest.mark.usefixtures("restorers")
def test_where_no_face_is_found_it_is_said(client: TestClient) -> None:
    black = Image.new("RGB", (8, 8))
    answer = single(client, image=sent(black), upscaler_1="None", gfpgan_visibility=1)
    assert "No face was found" in answer["html_info"]
    assert decoded(answer["image"]).tobytes() == black.tobytes()


def test_where_there_is_no_restorer_the_file_and_its_folder_are_named(client: TestClient) -> None:
    for name in ("gfpgan_visibility", "codeformer_visibility"):
        answer = client.post(f"{API}/extra-single-image", json={"image": sent(photo()), name: 1})
        assert answer.status_code == 404
        assert "GFPGANv1.4.pth" in answer.text
        assert "models/Codeformer" in answer.text


def test_the_lists_hold_the_files_there_are(client: TestClient, settings: Settings) -> None:
    folder = settings.models_dir / "models"
    upscalers.saved(upscalers.compact(), folder / "ESRGAN" / "4x-Sharp.safetensors")
    upscalers.saved(upscalers.compact(), folder / "RealESRGAN" / "RealESRGAN_x2plus.pth")
    for name in ("GFPGANv1.4.pth", "detection_Resnet50_Final.pth"):
        (folder / "GFPGAN").mkdir(exist_ok=True)
        (folder / "GFPGAN" / name).write_bytes(b"x")
    found = [one["name"] for one in client.get(f"{API}/upscalers").json()]
    assert found[:3] == ["None", "Nearest", "Lanczos"]
    assert {"4x-Sharp", "RealESRGAN_x2plus"} <= set(found)
    assert [one["name"] for one in client.get(f"{API}/realesrgan-models").json()] == ["RealESRGAN_x2plus"]
    assert [one["name"] for one in client.get(f"{API}/face-restorers").json()] == ["GFPGANv1.4"]
    hires = {"enable_hr": True, "prompt": "a cat", "width": 64, "height": 64, "seed": 1}
    answer = client.post(f"{API}/txt2img", json=hires | {"hr_upscaler": "R-ESRGAN 2x+"})
    assert answer.status_code == 200
    job = context_of(client).service.desk.list(limit=1)[0]
    assert job.request["hires"]["upscaler"] == "RealESRGAN_x2plus"


def test_an_enlarging_is_seen_in_progress_and_interrupted(client: TestClient, service: PaintingService) -> None:
    service.let_go.clear()
    answers: list[Any] = []
    body = {"image": sent(photo()), "upscaler_1": "Lanczos"}
    thread = threading.Thread(target=lambda: answers.append(client.post(f"{API}/extra-single-image", json=body)))
    thread.start()
    assert service.at_work.wait(10)
    told = client.get(f"{API}/progress").json()
    assert told["progress"] > 0
    assert told["state"]["job_count"] == 1
    client.post(f"{API}/interrupt")
    service.let_go.set()
    thread.join(10)
    assert answers[0].status_code == 409


def test_extras_are_no_pictures_of_the_gallery(client: TestClient, tmp_path: Path) -> None:
    single(client)
    assert client.get("/api/v1/pictures").json()["total"] == 0
    assert client.get("/api/v1/jobs").status_code == 200
