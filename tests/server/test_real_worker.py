"""A1111's client against the whole service: a worker process of its own, the engine, the small model in the box."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
import webuiapi
from PIL import Image, ImageChops
from tests.server.running import running
from tests.support import upscalers

from inkwash.core import images, infotext
from inkwash.jobs.service import Service, Setup


def test_webuiapi_enlarges_and_redraws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was drawn says over HTTP how to draw it again."""
    monkeypatch.setenv("INKWASH_CACHE_DIR", str(tmp_path / "cache"))
    upscalers.saved(upscalers.compact(), tmp_path / "models" / "ESRGAN" / "Sharp.pth")
    places = {"data_dir": tmp_path / "data", "outputs_dir": tmp_path / "outputs", "models_dir": tmp_path}
    service = Service(Setup(**places, device="cpu", dtype="float32"))
    with running(tmp_path, service) as (port, _):
        api = webuiapi.WebUIApi(host="127.0.0.1", port=port, sampler="Euler", steps=2)
        drawn = api.txt2img(prompt="a cat", seed=3, width=64, height=64, enable_hr=True, hr_scale=1.5,
                            hr_upscaler="Latent", denoising_strength=0.6)  # fmt: skip
        assert drawn.image.size == (96, 96)
        told = infotext.parse(drawn.info["infotexts"][0])
        assert (told["Hires upscale"], told["Hires upscaler"], told["Denoising strength"]) == ("1.5", "Latent", "0.6")

        mask = Image.new("L", (96, 96))
        mask.paste(255, (0, 0, 48, 96))
        redrawn = api.img2img(
            prompt="a dog", seed=4, images=[drawn.image], mask_image=mask, width=96, height=96, mask_blur=0,
            inpaint_full_res=False, denoising_strength=1.0, save_images=True,
        )  # fmt: skip
        changed = ImageChops.difference(redrawn.image.convert("RGB"), drawn.image.convert("RGB"))
        assert changed.crop((48, 0, 96, 96)).getbbox() is None  # what the mask leaves alone, bit for bit
        assert changed.crop((0, 0, 48, 96)).getbbox() is not None

        enlarged = api.extra_single_image(drawn.image, upscaler_1="sharp", upscaling_resize=3)
        assert enlarged.image.size == (288, 288)
        assert enlarged.info == "<p>Postprocess upscale by: 3, Postprocess upscaler: Sharp</p>"

        text = redrawn.info["infotexts"][0]
        base = f"http://127.0.0.1:{port}/api/v1"
        request = httpx2.post(f"{base}/inspect", json={"infotext": text}, timeout=60).json()["request"]
        job = httpx2.post(f"{base}/jobs", json={"request": request}, timeout=60).json()
        with httpx2.stream("GET", f"{base}/jobs/{job['id']}/events", timeout=120) as stream:
            assert any('"state":"done"' in line.replace(" ", "") for line in stream.iter_lines())
        item = httpx2.get(f"{base}/jobs/{job['id']}", timeout=60).json()["items"][0]
        again = httpx2.get(f"http://127.0.0.1:{port}{item['url']}", timeout=60).content
        ended_early(api, service)
        order = {"task": "convert", "sources": ["inkwash-box"], "name": "copy", "folder": True}
        job = httpx2.post(f"{base}/models/make", json=order, timeout=60).json()
        with httpx2.stream("GET", f"{base}/jobs/{job['id']}/events", timeout=120) as stream:
            assert any('"state":"done"' in line.replace(" ", "") for line in stream.iter_lines())
        assert "copy" in [model["name"] for model in httpx2.get(f"{base}/models", timeout=60).json()["models"]]
    first, second = sorted((tmp_path / "outputs" / "img2img-images").rglob("*.png"))
    assert second.read_bytes() == again
    assert ImageChops.difference(images.load(first), images.load(second)).getbbox() is None
    kept = {path.stem for path in (tmp_path / "data" / "blobs").iterdir()}
    assert kept == {infotext.parse(text)[key] for key in ("Init image hash", "Mask hash")}


def ended_early(api: webuiapi.WebUIApi, service: Service) -> None:
    """The first of four pictures is skipped, the second interrupted; both come as they stood, the others do not."""
    seen = threading.Event()
    watch = service.live.watch(seen.set)

    def until(picture: int) -> None:
        while not any(one.picture == picture and one.step > 1 for one in watch.take().glimpses):
            assert seen.wait(60)
            seen.clear()

    with ThreadPoolExecutor() as pool:
        asked = pool.submit(api.txt2img, prompt="a cat", seed=5, width=64, height=64, steps=200, n_iter=4)
        until(picture=0)
        api.skip()
        until(picture=1)
        api.interrupt()
        result = asked.result(120)
    watch.close()
    steps = [int(infotext.parse(text)["Ended at step"]) for text in result.info["infotexts"]]
    assert len(steps) == len(result.images) == 2
    assert all(1 < step < 200 for step in steps)
    assert result.images[0].getextrema() != result.images[1].getextrema()
    assert service.pictures.list().total == 2  # those that were to be saved
