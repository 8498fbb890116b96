"""SD upscale and Tiled Diffusion as A1111's clients ask for them."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.support.service import PaintingService

from inkwash.core.errors import InvalidRequest
from inkwash.core.request import NoiseInversion, Region, SDUpscale, TiledDiffusion
from inkwash.core.settings import Settings
from inkwash.core.wire import from_json
from inkwash.server.a1111 import tiles
from inkwash.server.a1111.schema import Img2Img, Txt2Img

API = "/sdapi/v1"
MAIN = [True, "Mixture of Diffusers", True, True, 1536, 1024, 96, 64, 48, 8, "Lanczos", 3.0]
UPSCALERS = ("None", "Nearest", "Lanczos", "4x-Foo")
INVERSION = [True, 30, 1.2, 0.4, 16]
REGIONS = [
    False, True, False, False,
    True, 0.1, 0.2, 0.3, 0.4, "a dog", "grey", "Foreground", 0.5, 7,
    False, 0.1, 0.2, 0.3, 0.4, "not drawn", "", "Background", 0.5, 7,
    True, 0, 0, 1, 1, "a hill", "", "Background", 0.2, -1,
]  # fmt: skip


def scripts(*args: Any) -> dict[str, Any]:
    return {"Tiled Diffusion": {"args": list(args)}}


def fields(body: Txt2Img | Img2Img) -> dict[str, Any]:
    return tiles.fields(body, UPSCALERS)


def test_every_argument_finds_its_field() -> None:
    found = fields(Img2Img(alwayson_scripts=scripts(*MAIN, *INVERSION, *REGIONS)))
    dog = Region(
        x=0.1,
        y=0.2,
        w=0.3,
        h=0.4,
        prompt="a dog",
        negative_prompt="grey",
        blend="Foreground",
        feather_ratio=0.5,
        seed=7,
    )
    hill = Region(x=0.0, y=0.0, w=1.0, h=1.0, prompt="a hill")
    assert found["tiled"] == TiledDiffusion(
        method="Mixture of Diffusers",
        tile_width=96,
        tile_height=64,
        overlap=48,
        tile_batch=8,
        upscaler="Lanczos",
        scale=3.0,
        regions=(dog, hill),
        draw_background=False,
    )
    assert found["noise_inversion"] == NoiseInversion(steps=30, retouch=1.2, renoise_strength=0.4, renoise_kernel=16)
    assert (found["width"], found["height"]) == (None, None)  # the source's own size, enlarged


def test_the_size_is_overwritten_in_txt2img_alone() -> None:
    found = fields(Txt2Img(alwayson_scripts=scripts(*MAIN, *INVERSION)))
    assert (found["width"], found["height"]) == (1536, 1024)
    assert found["tiled"].upscaler is None
    assert found["noise_inversion"] is None
    scaled = [*MAIN[:3], False, *MAIN[4:]]
    found = fields(Img2Img(width=100, height=64, alwayson_scripts=scripts(*scaled)))
    assert (found["width"], found["height"]) == (296, 192)


def test_what_is_left_out_is_the_extensions_default() -> None:
    assert fields(Txt2Img(alwayson_scripts=scripts("True"))) == {"tiled": TiledDiffusion(), "noise_inversion": None}
    assert fields(Txt2Img(alwayson_scripts=scripts(True, None, None)))["tiled"] == TiledDiffusion()
    assert fields(Txt2Img(alwayson_scripts=scripts(False, "MultiDiffusion"))) == {}
    assert fields(Txt2Img(alwayson_scripts=scripts())) == {}


def test_an_object_by_name_is_read_too() -> None:
    told = {"enabled": True, "tile_width": 64, "overlap": 90, "enable_bbox_control": True, "draw_background": True,
            "bbox_control_states": [{"enable": True, "prompt": "a dog"}]}  # fmt: skip
    found = fields(Txt2Img(alwayson_scripts=scripts(told)))
    assert found["tiled"] == TiledDiffusion(tile_width=64, overlap=60, regions=(Region(prompt="a dog"),))


@pytest.mark.parametrize(
    "args",
    [
        [True, "MultiDiffusion", True, "yes"],
        [True, 5],
        [*MAIN[:6], "wide"],
        [*MAIN[:6], 9.5],
        [*MAIN[:10], 99],
        [*MAIN[:10], ["x"]],
    ],
)
def test_a_senseless_argument_is_named(args: list[Any]) -> None:
    with pytest.raises(InvalidRequest, match="must be"):
        fields(Img2Img(alwayson_scripts=scripts(*args)))


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        ([None, 32, "Nearest", 3], SDUpscale(overlap=32, upscaler="Nearest", scale=3.0)),
        ([None, 64, 2, 2.0], SDUpscale(upscaler="Lanczos")),
        (["text", 64, 0, 1.5], SDUpscale(scale=1.5)),
        ([None, 64, 3, 2.0], SDUpscale(upscaler="4x-Foo")),
        ([], SDUpscale()),
    ],
)
def test_sd_upscale_takes_an_index_or_a_name(args: list[Any], wanted: SDUpscale) -> None:
    assert tiles.upscale(args, UPSCALERS) == wanted


def source() -> str:
    file = io.BytesIO()
    Image.new("RGB", (32, 24), "green").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_both_travel_to_the_queue(client: TestClient, service: PaintingService) -> None:
    body = {"init_images": [source()], "width": 64, "height": 64}
    upscale = {"script_name": "SD Upscale", "script_args": [None, 16, "Lanczos", 4]}
    answer = client.post(f"{API}/img2img", json=body | upscale)
    assert answer.status_code == 200, answer.text
    request = from_json(service.desk.list(limit=1)[0].request, service.blobs.find)
    assert request.sd_upscale == SDUpscale(overlap=16, scale=4.0)
    answer = client.post(f"{API}/img2img", json=body | {"alwayson_scripts": scripts(*MAIN, *INVERSION, *REGIONS)})
    assert answer.status_code == 200, answer.text
    request = from_json(service.desk.list(limit=1)[0].request, service.blobs.find)
    assert request.tiled is not None
    assert [region.prompt for region in request.tiled.regions] == ["a dog", "a hill"]
    assert request.width is None


def test_what_there_is_is_listed_and_what_is_not_is_refused(client: TestClient) -> None:
    listed = client.get(f"{API}/scripts").json()
    assert "tiled diffusion" in listed["txt2img"]
    assert {"sd upscale", "tiled diffusion"} <= set(listed["img2img"])
    assert "sd upscale" not in listed["txt2img"]
    wrong = client.post(f"{API}/txt2img", json={"script_name": "SD upscale"})
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "Script not found: 'SD upscale'.")


def test_learned_upscalers_have_the_indexes_of_the_list(
    client: TestClient, service: PaintingService, settings: Settings
) -> None:
    assert settings.models_dir is not None
    folder = settings.models_dir / "models" / "ESRGAN"
    folder.mkdir(parents=True)
    (folder / "4x-Foo.pth").write_bytes(b"")
    names = [one["name"] for one in client.get(f"{API}/upscalers").json()]
    assert names[:3] == ["None", "Nearest", "Lanczos"]
    scripts_told = {one["name"]: one for one in client.get(f"{API}/script-info").json()}
    assert scripts_told["sd upscale"]["args"][2]["choices"] == names
    for given in (names.index("4x-Foo"), "4X-foo"):
        body = {"init_images": [source()], "script_name": "SD upscale", "script_args": [None, 16, given, 2]}
        answer = client.post(f"{API}/img2img", json=body)
        assert answer.status_code == 200, answer.text
        assert service.desk.list(limit=1)[0].request["sd_upscale"]["upscaler"] == "4x-Foo"
    body = {"init_images": [source()], "script_name": "SD upscale", "script_args": [None, 16, "4x-Fo", 2]}
    answer = client.post(f"{API}/img2img", json=body)
    assert answer.status_code == 422
    assert "4x-Foo" in answer.text
