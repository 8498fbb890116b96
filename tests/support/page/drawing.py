"""The stand-in's worker: one job at a time, one step at a time, held and let go by the test."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

from tests.support.page import scenery
from tests.support.page.state import State

from inkwash.core import images, infotext
from inkwash.core.request import GenerateRequest


class Gate:
    """Where drawing waits for the test: before step ``at``, until ``open``."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.open = asyncio.Event()

    async def passes(self, step: int) -> None:
        if self.at is not None and step >= self.at:
            await self.open.wait()


async def work(state: State, gate: Gate, seconds: float) -> None:
    """For ever: the oldest waiting job."""
    while True:
        job = next(iter(state.waiting()), None)
        if job is None:
            state.wake.clear()
            await state.wake.wait()
            continue
        job.update(state="running", started=time.time(), attempts=job["attempts"] + 1)
        state.told(job)
        begin = _generate if job["kind"] == "generate" else _explain
        await begin(state, job, gate, seconds)


async def _generate(state: State, job: dict[str, Any], gate: Gate, seconds: float) -> None:
    wanted = job["request"]
    if "fail" in wanted.get("prompt", ""):
        _end(state, job, "failed", error="The model could not be read.", remedy="Choose another one.")
        return
    for index, seed, picture in _pictures(wanted):
        if not await _steps(state, job, gate, seconds, index, picture):
            return
        _keep_picture(state, job, index, seed, picture)
    _end(state, job, "done")


def _pictures(wanted: dict[str, Any]) -> Iterator[tuple[int, int, Any]]:
    width, height = wanted.get("width") or 512, wanted.get("height") or 512
    first = wanted.get("seed", -1)
    first = sum(map(ord, wanted.get("prompt", ""))) + 1000 if first == -1 else first
    for index in range(wanted.get("batch_size", 1) * wanted.get("batch_count", 1)):
        yield index, first + index, scenery.landscape(first + index, width, height)


async def _steps(state: State, job: dict[str, Any], gate: Gate, seconds: float, index: int, picture: Any) -> bool:
    """Whether the job went through to the end of this picture."""
    wanted = job["request"]
    steps = wanted.get("steps", 20)
    count = wanted.get("batch_size", 1) * wanted.get("batch_count", 1)
    for step in range(1, steps + 1):
        await gate.passes(step)
        if job["state"] != "running":
            return False
        progress = {
            "picture": index, "pictures": count, "step": step, "steps": steps,
            "fraction": (index + step / steps) / count, "stage": "drawing",
            "seconds_left": (count - index - step / steps) * steps * seconds,
        }  # fmt: skip
        job["progress"] = progress
        preview = scenery.data_url(scenery.noised(picture, step, max(0.0, 0.85 - step / steps)))
        state.say("glimpse", {"job": job["id"], "sigma": 14.6 * (1 - step / steps), "preview": preview, **progress})
        await asyncio.sleep(seconds)
    return job["state"] == "running"


def _keep_picture(state: State, job: dict[str, Any], index: int, seed: int, picture: Any) -> None:
    wanted = {key: value for key, value in job["request"].items() if key in GenerateRequest.__dataclass_fields__}
    wanted = {key: tuple(value) if isinstance(value, list) else value for key, value in wanted.items()}
    drawn = GenerateRequest(**{**wanted, "seed": seed, "width": picture.width, "height": picture.height})
    text = infotext.write(drawn, seed=seed, subseed=seed, model_name="inkwash-box", version="test")
    name = f"{job['id']}-{index}"
    add_picture(state, name, picture, text, drawn, job["id"])
    facts = {"seed": seed, "subseed": seed, "infotext": text, "width": picture.width, "height": picture.height}
    job["items"].append(_item(str(index), "image/png", f"pictures/{name}/file", f"pictures/{name}/thumbnail", facts))
    state.told(job)


def add_picture(state: State, name: str, picture: Any, text: str, drawn: GenerateRequest, job: str | None) -> None:
    (state.files / f"{name}.png").write_bytes(images.encode(picture, text))
    thumbnail = picture.copy()
    thumbnail.thumbnail((320, 320))
    (state.files / f"{name}.webp").write_bytes(images.encode(thumbnail, format="webp", quality=80))
    state.pictures[name] = {
        "id": name, "url": f"/api/v1/pictures/{name}/file", "thumbnail": f"/api/v1/pictures/{name}/thumbnail",
        "width": picture.width, "height": picture.height, "created": time.time(), "infotext": text,
        "prompt": drawn.prompt, "negative_prompt": drawn.negative_prompt, "seed": drawn.seed,
        "model": "inkwash-box", "favourite": False, "job": job,
    }  # fmt: skip


def _item(name: str, media: str, url: str, thumbnail: str | None, facts: dict[str, Any]) -> dict[str, Any]:
    thumbnail = f"/api/v1/{thumbnail}" if thumbnail else None
    return {"name": name, "media": media, "url": f"/api/v1/{url}", "thumbnail": thumbnail, "facts": facts}


def _end(state: State, job: dict[str, Any], how: str, **facts: Any) -> None:
    job.update(state=how, finished=time.time(), progress=None, **facts)
    state.told(job)


async def _explain(state: State, job: dict[str, Any], gate: Gate, seconds: float) -> None:
    wanted = job["request"]
    if "noise" in wanted:
        trace = {"noised": _noised(state, job, wanted["noise"])}
    else:
        await gate.passes(1)
        trace = _trace(state, job, wanted)
    _keep(state, job, "trace", "application/json", json.dumps(trace).encode())
    _end(state, job, "done")


def _keep(state: State, job: dict[str, Any], name: str, media: str, data: bytes) -> str:
    (state.files / f"{job['id']}-{name}").write_bytes(data)
    job["items"].append(_item(name, media, f"jobs/{job['id']}/items/{name}", None, {}))
    return name


def _keep_image(state: State, job: dict[str, Any], name: str, picture: Any) -> str:
    return _keep(state, job, name, "image/webp", images.encode(picture, format="webp", quality=70))


def _noised(state: State, job: dict[str, Any], wanted: dict[str, Any]) -> list[dict[str, Any]]:
    clean = scenery.landscape(7, 256, 256)
    return [
        {
            "t": t,
            "sigma": 14.6 * t / 999,
            "picture": _keep_image(state, job, f"t{t}", scenery.noised(clean, 3, t / 999)),
        }
        for t in wanted["ts"]
    ]


def _trace(state: State, job: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    steps, seed, prompt = wanted.get("steps", 20), max(wanted.get("seed", 1), 0), wanted.get("prompt", "")
    clean = scenery.landscape(seed, 384, 384)
    sigmas = [14.6146 ** (1 / 7) + k / (steps - 1) * (0.0292 ** (1 / 7) - 14.6146 ** (1 / 7)) for k in range(steps)]
    sigmas = [*(root**7 for root in sigmas), 0.0]
    words = prompt.replace(",", " ").split()
    return {
        "tokens": [{"text": word, "index": index + 1, "weight": 1.0} for index, word in enumerate(words)],
        "chunks": 1,
        "sigmas": sigmas,
        "timesteps": [999 * sigma / sigmas[0] for sigma in sigmas],
        "steps": [
            {
                "step": step, "sigma": sigmas[step - 1], "t": 999 * sigmas[step - 1] / sigmas[0],
                "noisy": _keep_image(state, job, f"noisy-{step}", scenery.noised(clean, 9, 1 - step / steps)),
                "denoised": _keep_image(
                    state, job, f"denoised-{step}", scenery.landscape(seed, 384, 384, min(1.0, 0.2 + step / steps))
                ),
            }
            for step in range(1, steps + 1)
        ],
        "attention": [
            {"word": word, "token_indexes": [index + 1],
             "map": _keep_image(state, job, f"map-{index}", scenery.heat(seed + index)),
             "sheet": _keep_image(state, job, f"sheet-{index}", scenery.heats(seed + index, steps))}
            for index, word in enumerate(words)
        ],
        "cfg": [
            {"cfg": cfg, "picture": _keep_image(state, job, f"cfg-{cfg:g}", scenery.landscape(seed, 384, 384, cfg / 7))}
            for cfg in wanted.get("cfgs", [1, 3, 7])
        ],
    }  # fmt: skip
