"""A third party's client, and many at once, against a server that really listens."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import webuiapi
from PIL import Image
from tests.server.running import running
from tests.support.service import PaintingService

from inkwash.server.turnstile import AT_ONCE


@pytest.fixture
def painting(tmp_path: Path) -> PaintingService:
    return PaintingService(tmp_path / "data", tmp_path / "outputs", queue=20)


@pytest.fixture
def port(tmp_path: Path, painting: PaintingService) -> Iterator[int]:
    with running(tmp_path, painting) as (found, _):
        yield found


def test_webuiapi_unchanged(port: int, painting: PaintingService) -> None:
    api = webuiapi.WebUIApi(host="127.0.0.1", port=port, sampler="Euler a", steps=4)
    result = api.txt2img(prompt="cute squirrel", negative_prompt="ugly", seed=1003, cfg_scale=7, width=64, height=64,
                         batch_size=2, scheduler="Karras")  # fmt: skip
    assert [image.size for image in result.images] == [(64, 64)] * 2
    assert result.info["all_seeds"] == [1003, 1004]
    assert result.parameters["prompt"] == "cute squirrel"
    told = api.png_info(result.image)
    assert told.info.startswith("cute squirrel")

    options = api.get_options()
    assert api.set_options(options) is None
    api.set_options({"CLIP_stop_at_last_layers": 2})
    assert api.get_options()["CLIP_stop_at_last_layers"] == 2
    name = api.util_get_model_names()[0]
    api.util_set_model(name)
    assert api.util_get_current_model() == name
    assert "Euler a" in api.util_get_sampler_names()
    assert "karras" in api.util_get_scheduler_names()
    for answer in (
        api.get_upscalers(), api.get_latent_upscale_modes(), api.get_loras(), api.get_sd_models(), api.get_sd_vae(),
        api.get_hypernetworks(), api.get_face_restorers(), api.get_realesrgan_models(), api.get_prompt_styles(),
    ):  # fmt: skip
        assert isinstance(answer, list)
    assert api.get_embeddings()["loaded"] == {}
    assert "ram" in api.get_memory()
    assert api.get_scripts()["txt2img"] == ["prompt matrix", "x/y/z plot", "tiled diffusion", "tiled vae"]
    assert api.refresh_checkpoints() is None
    assert api.get_cmd_flags()["api"] is True
    with pytest.raises(RuntimeError, match="404"):
        api.img2img(images=[])
    flat = Image.new("RGB", (64, 64))
    redrawn = api.img2img(images=[flat], mask_image=flat.convert("L"), width=64, height=64, denoising_strength=0.5)
    assert redrawn.image.size == (64, 64)
    assert api.txt2img(enable_hr=True, hr_scale=2, hr_upscaler="Latent", width=64, height=64).image.size == (128, 128)
    assert api.extra_single_image(flat, upscaler_1="Lanczos", upscaling_resize=2).image.size == (128, 128)
    several = api.extra_batch_images([flat, flat], upscaler_1="Nearest", resize_mode=1)
    assert [image.size for image in several.images] == [(512, 512)] * 2


def test_webuiapi_plots_paints_over_and_loops_unchanged(port: int, painting: PaintingService) -> None:
    """As its own documentation shows them: arguments by number, no seeds of their own, the margin last."""
    api = webuiapi.WebUIApi(host="127.0.0.1", port=port, steps=4)
    axes = ["Nothing", "Seed", "Var. seed", "Var. strength", "Steps", "Hires steps", "CFG Scale"]  # of its pages
    args = [axes.index("Steps"), "2,3,4", [], axes.index("CFG Scale"), "5,7", [], axes.index("Nothing"), "", [],
            True, False, False, False, 0]  # fmt: skip
    plotted = api.txt2img(prompt="a cat", seed=1003, width=64, height=64, script_name="X/Y/Z Plot", script_args=args)
    assert plotted.image.size[0] > 3 * 64
    assert [job.request["steps"] for job in reversed(painting.desk.list())] == [2, 3, 4, 2, 3, 4]
    matrix = api.txt2img(prompt="a|b|c", width=64, height=64, script_name="Prompt matrix", script_args=[])
    assert len(matrix.images) == 5

    large = api.txt2img(prompt="a cat", width=64, height=64, enable_hr=True, hr_scale=1.5, denoising_strength=0.5,
                        hr_upscaler=webuiapi.HiResUpscaler.Latent, hr_second_pass_steps=3)  # fmt: skip
    assert large.image.size == (96, 96)
    source = Image.new("RGB", (64, 64), (90, 120, 90))
    mask = Image.new("RGB", (64, 64))
    mask.paste((255, 255, 255), (0, 0, 32, 64))
    painted = api.img2img(images=[source], mask_image=mask, inpainting_fill=1, cfg_scale=1.5, prompt="a hat", width=64,
                          height=64, save_images=True)  # fmt: skip
    assert painted.image.size == (64, 64)
    looped = api.img2img(images=[source], prompt="x", width=64, height=64, script_name="Loopback", script_args=[2, 0.5])
    assert len(looped.images) == 2
    assert api.get_scripts()["img2img"][:4] == ["prompt matrix", "x/y/z plot", "sd upscale", "loopback"]
    assert painting.pictures.list().total == 1


def test_webuiapi_watches_and_interrupts(port: int, painting: PaintingService) -> None:
    api = webuiapi.WebUIApi(host="127.0.0.1", port=port, steps=4)
    api.util_wait_for_ready()
    painting.let_go.clear()
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(api.txt2img(prompt="a", width=64, height=64)))
    thread.start()
    assert painting.at_work.wait(30)
    other = webuiapi.WebUIApi(host="127.0.0.1", port=port)
    assert 0 < other.get_progress()["progress"] < 1
    other.skip()
    other.interrupt()
    painting.let_go.set()
    thread.join(30)
    (result,) = results
    assert len(result.images) == 1  # as it stood
    assert result.info["interrupted"] is True


def test_a_client_that_leaves_takes_its_job_along(port: int, painting: PaintingService) -> None:
    painting.let_go.clear()
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(f"http://127.0.0.1:{port}/sdapi/v1/txt2img", json={"steps": 2}, timeout=1.0)
    gone = threading.Event()
    watch = painting.live.watch(gone.set)
    while painting.desk.list(limit=1)[0].state != "cancelled":
        assert gone.wait(30)
        gone.clear()
    watch.close()
    painting.let_go.set()


def test_going_down_lets_the_running_finish(tmp_path: Path, painting: PaintingService) -> None:
    """What is being drawn is answered, what waits is told to come again, streams end, nothing is lost."""
    painting.let_go.clear()
    with running(tmp_path, painting) as (port, server), ThreadPoolExecutor() as pool:
        base = f"http://127.0.0.1:{port}"
        drawn = pool.submit(httpx2.post, f"{base}/sdapi/v1/txt2img", json={"steps": 2}, timeout=60)
        assert painting.at_work.wait(30)
        changed = threading.Event()
        watch = painting.live.watch(changed.set)
        waiting = pool.submit(httpx2.post, f"{base}/sdapi/v1/txt2img", json={"steps": 3}, timeout=60)
        assert changed.wait(30)
        watch.close()
        with httpx2.stream("GET", f"{base}/api/v1/events", timeout=60) as stream:
            lines = stream.iter_lines()
            next(lines)
            server.should_exit = True
            assert sum(line.startswith("event: job") for line in lines) >= 2
        assert waiting.result(60).status_code == 503
        assert waiting.result().headers["retry-after"]
        painting.let_go.set()
        assert drawn.result(60).status_code == 200
    again = PaintingService(tmp_path / "data", tmp_path / "outputs")
    assert [job.state for job in again.desk.list()] == ["queued", "done"]
    again.stop()


def test_who_sends_slowly_keeps_nobody_waiting(port: int) -> None:
    """More half-sent requests than are worked on at once, and others are answered still."""
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(3 * AT_ONCE)]
    for connection in slow:
        connection.sendall(b"POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{")
    assert httpx2.get(f"http://127.0.0.1:{port}/api/v1/samplers", timeout=30).status_code == 200
    for connection in slow:
        connection.close()


@pytest.mark.parametrize("clients", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_crowd(port: int, painting: PaintingService, clients: int) -> None:
    """20 may wait and one is drawn; everybody else is sent away, and health answers all the while.

    How quickly, benchmarks/crowd.py measures.
    """
    painting.let_go.clear()
    answers, health = asyncio.run(crowd(port, clients, painting.let_go.set))
    accepted, refused = answers.count(200), answers.count(429)
    assert accepted + refused == clients
    assert accepted in (20, 21)  # whether the one at work was taken before the queue was full
    assert health > 3


async def crowd(port: int, clients: int, let_go: object) -> tuple[list[int], int]:
    base = f"http://127.0.0.1:{port}"
    health = 0
    limits = httpx2.Limits(max_connections=clients + 10)
    async with (
        httpx2.AsyncClient(base_url=base, timeout=120, limits=limits) as client,
        httpx2.AsyncClient(base_url=base, timeout=10) as doctor,
    ):
        refused = asyncio.Event()
        counted = 0

        async def ask() -> int:
            nonlocal counted
            answer = await client.post("/sdapi/v1/txt2img", json={"steps": 2, "width": 64, "height": 64})
            counted += answer.status_code == 429
            if counted >= clients - 21:
                refused.set()
            return answer.status_code

        async def examine() -> None:
            nonlocal health
            while not refused.is_set():
                assert (await doctor.get("/health")).status_code == 200
                health += 1
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(ask()) for _ in range(clients)]
        await asyncio.gather(examine(), refused.wait())
        let_go()  # type: ignore[operator]
        return await asyncio.gather(*tasks), health
