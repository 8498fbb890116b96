"""The stand-in's routes: the native API the page uses.  `python -m tests.support.page.service FOLDER --port N`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from tests.support.page import scenery
from tests.support.page.drawing import Gate, add_picture, work
from tests.support.page.schema import NAMES, SCHEMA
from tests.support.page.state import LIVE, State

from inkwash.core import images, infotext
from inkwash.core.request import GenerateRequest
from inkwash.prompt import advise, load_tokenizer, token_view
from inkwash.web import add_page


def model(name: str, sha: str, size: int, *, box: bool, note: str) -> dict[str, Any]:
    return {
        "title": f"{name} [{sha}]", "name": name, "hash": sha, "family": "SD 1", "native_size": 512, "size": size,
        "current": box, "box": box, "usable": True, "note": note,
    }  # fmt: skip


MODELS = {
    "models": [
        model("inkwash-box", "3f1c2a9b0d", 46_137_344, box=True, note="Ships with the program."),
        model("dreamlike", "8d2f4e6a11", 2_132_625_894, box=False, note=""),
    ],
    "vaes": [{"name": "vae-ft-mse", "title": "vae-ft-mse"}],
    "suggestions": [
        {
            "name": "Stable Diffusion 1.5",
            "url": "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5",
            "what": {"en": "The original: everything else is built on it.", "zh": "原版模型，其他模型都建立在它之上。"},
        },
    ],
    "folder": "models/Stable-diffusion",
}
STYLES = [
    {"name": "ink wash", "prompt": "{prompt}, ink wash painting, sumi-e", "negative_prompt": "photo"},
    {"name": "film", "prompt": "{prompt}, film grain, 35mm", "negative_prompt": ""},
]
SETTINGS: dict[str, Any] = {
    "pattern": "[date]/[number]-[seed]", "format": "png", "quality": 90, "defaults": {}, "restart_needed": False,
    "limits": {"side": 2048, "steps": 150, "pictures": 100},
}  # fmt: skip


def problem(status: int, code: str, message: str, remedy: str = "", field: str | None = None) -> JSONResponse:
    body = {"error": code, "message": message, "remedy": remedy, "field": field}
    return JSONResponse(body, status, {"Retry-After": "3"} if status == 429 else None)


def build(folder: Path, seconds: float = 0.01, limit: int = 50) -> FastAPI:
    """The whole service on one event loop.  limit: how many jobs may wait."""
    state, gate = State(folder), Gate()
    started = time.time()

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        worker = asyncio.create_task(work(state, gate, seconds))
        yield
        worker.cancel()

    app = FastAPI(lifespan=life, openapi_url=None)
    _jobs(app, state, limit)
    _pictures(app, state)
    _reading(app)
    _machine(app, started)
    _test_handles(app, state, gate)
    add_page(app)
    return app


def _jobs(app: FastAPI, state: State, limit: int) -> None:
    @app.post("/api/v1/jobs", status_code=201)
    async def submit(request: Request) -> Any:
        body = await request.json()
        wanted = body["request"]
        if unknown := set(wanted) - NAMES - {"noise", "cfgs"}:
            return problem(422, "invalid", f"There is no field {min(unknown)!r}.", "Leave it out.", min(unknown))
        if len(state.waiting()) >= limit:
            return problem(429, "queue_full", "The queue is full.")
        if isinstance(wanted.get("steps"), int) and wanted["steps"] > 150:
            return problem(422, "invalid", "steps is 151 or more.", "Ask for at most 150.", "steps")
        return state.add(body["kind"], wanted)

    @app.post("/api/v1/explain/noise", status_code=201)
    async def noise(request: Request) -> Any:
        body = await request.json()
        return state.add("explain", {"noise": {"picture": body["picture"], "ts": body["t"], "seed": body["seed"]}})

    @app.get("/api/v1/jobs")
    async def listed(limit: int = 100) -> Any:
        return {"jobs": list(reversed(state.jobs.values()))[:limit]}

    @app.get("/api/v1/jobs/{job}")
    async def one(job: str) -> Any:
        return state.jobs.get(job) or problem(404, "not_found", "No such job.")

    @app.post("/api/v1/jobs/{job}/cancel")
    async def cancel(job: str) -> Any:
        found = state.jobs[job]
        if found["state"] in LIVE:
            found.update(state="cancelled", finished=time.time(), progress=None)
            state.told(found)
        return found

    @app.post("/api/v1/jobs/{job}/retry")
    async def retry(job: str) -> Any:
        return state.add(state.jobs[job]["kind"], state.jobs[job]["request"])

    @app.get("/api/v1/jobs/{job}/items/{name}")
    async def item(job: str, name: str) -> Any:
        media = next(one["media"] for one in state.jobs[job]["items"] if one["name"] == name)
        return FileResponse(state.files / f"{job}-{name}", media_type=media)

    @app.get("/api/v1/events")
    async def events() -> Any:
        return StreamingResponse(_events(state), media_type="text/event-stream")


async def _events(state: State) -> AsyncIterator[str]:
    mine: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    state.listeners.add(mine)
    try:
        yield ": welcome\n\n"
        for job in state.jobs.values():
            if job["state"] in LIVE:
                yield f"event: job\ndata: {json.dumps(job)}\n\n"
        while True:
            event, value = await mine.get()
            yield f"event: {event}\ndata: {json.dumps(value)}\n\n"
    finally:
        state.listeners.discard(mine)


def _pictures(app: FastAPI, state: State) -> None:
    @app.get("/api/v1/pictures")
    async def listed(search: str = "", favourite: bool = False, limit: int = 60, before: str = "") -> Any:
        found = [
            one
            for one in reversed(state.pictures.values())
            if search.lower() in one["infotext"].lower() and (one["favourite"] or not favourite) and not one.get("gone")
        ]
        start = 1 + next((place for place, one in enumerate(found) if one["id"] == before), -1)
        return {"pictures": found[start : start + limit], "total": len(found)}

    @app.get("/api/v1/pictures/{name}/{part}")
    async def file(name: str, part: str) -> Any:
        return FileResponse(state.files / f"{name}.{'png' if part == 'file' else 'webp'}")

    @app.patch("/api/v1/pictures/{name}")
    async def change(name: str, request: Request) -> Any:
        state.pictures[name].update(await request.json())
        return state.pictures[name]

    @app.delete("/api/v1/pictures/{name}")
    async def delete(name: str) -> Response:
        state.pictures[name]["gone"] = True
        return Response(status_code=204)

    @app.post("/api/v1/pictures/{name}/restore")
    async def restore(name: str) -> Any:
        state.pictures[name]["gone"] = False
        return state.pictures[name]


def _reading(app: FastAPI) -> None:
    tokenizer = load_tokenizer()

    @app.get("/api/v1/schema")
    async def schema() -> Any:
        return SCHEMA

    @app.post("/api/v1/tokens")
    async def tokens(request: Request) -> Any:
        prompt = (await request.json())["prompt"]
        found = token_view(prompt, tokenizer)
        count = 1 + max((token.chunk for token in found), default=0)
        chunks: list[dict[str, Any]] = [{"tokens": [], "used": 0, "size": 75} for _ in range(count)]
        for token in found:
            chunks[token.chunk]["tokens"].append({"text": token.text, "id": token.id, "weight": token.weight})
            chunks[token.chunk]["used"] += 1
        advice = [
            {"where": one.where, "message": {"en": one.message, "zh": one.message_zh}}
            for one in advise(prompt, tokenizer)
        ]
        return {"chunks": chunks, "count": len(found), "limit": 75, "advice": advice}

    @app.post("/api/v1/inspect")
    async def inspect(request: Request) -> Any:
        body = await request.body()
        width = height = None
        if request.headers.get("content-type") == "application/json":
            text = json.loads(body)["infotext"]
        else:
            path = Path(request.app.state.scratch) / "dropped"
            path.write_bytes(body)
            found = images.read_metadata(path)
            text, width, height = found.infotext, found.width, found.height
        parsed = infotext.parse(text)
        asked = dataclasses.asdict(infotext.to_request(parsed)) if text else {}
        usual = dataclasses.asdict(GenerateRequest())
        changed = {key: value for key, value in asked.items() if key in NAMES and value != usual[key]}
        return {"infotext": text, "parameters": dict(parsed), "request": changed, "width": width, "height": height}


def _machine(app: FastAPI, started: float) -> None:
    @app.get("/api/v1/session")
    async def session() -> Any:
        return {"user": None, "login_needed": False, "language": None}

    @app.get("/api/v1/models")
    async def models() -> Any:
        return MODELS

    @app.post("/api/v1/models/refresh")
    async def refresh() -> Any:
        return MODELS

    @app.post("/api/v1/models/load")
    async def load() -> Any:
        return MODELS

    @app.get("/api/v1/models/{name}")
    async def details(name: str) -> Any:
        return {"name": name, "prediction": "epsilon", "parameters": {"unet": 859_520_964, "text": 123_060_480}}

    @app.get("/api/v1/styles")
    async def styles() -> Any:
        return STYLES

    @app.get("/api/v1/system")
    async def system() -> Any:
        return {
            "version": "test", "device": "cpu", "dtype": "bfloat16", "uptime": time.time() - started,
            "memory": {"total": 24 << 30, "free": 17 << 30, "process": 2 << 30},
            "worker": {"state": "ready", "pid": 4711, "model": "inkwash-box"}, "queue": {"queued": 0, "running": 0},
            "speed": {"seconds_per_step": 1.42},
        }  # fmt: skip

    @app.get("/api/v1/system/log")
    async def log(after: int = 0) -> Any:
        lines = ["worker ready, inkwash-box", "job1 drawn in 24.1 s"]
        return {"lines": [{"number": n, "when": started, "text": text} for n, text in enumerate(lines, 1) if n > after]}

    @app.get("/api/v1/settings")
    async def settings() -> Any:
        return SETTINGS

    @app.patch("/api/v1/settings")
    async def change(request: Request) -> Any:
        SETTINGS.update(await request.json())
        return SETTINGS


def _test_handles(app: FastAPI, state: State, gate: Gate) -> None:
    app.state.scratch = state.folder

    @app.post("/test/hold/{step}")
    async def hold(step: int) -> Any:
        gate.at = step
        gate.open.clear()
        return {}

    @app.post("/test/go")
    async def go() -> Any:
        gate.at = None
        gate.open.set()
        return {}

    @app.post("/test/pictures/{count}")
    async def fill(count: int) -> Any:
        """Pictures of earlier days, small ones, so that a gallery of hundreds is made at once."""
        for number in range(count):
            size = [(192, 128), (128, 128), (128, 192)][number % 3]
            drawn = GenerateRequest(prompt=f"hills, number {number}", seed=number, width=size[0], height=size[1])
            picture = scenery.landscape(number, *size)
            add_picture(state, f"old{number}", picture, infotext.write(drawn), drawn, None)
        return {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=7861)
    parser.add_argument("--seconds", type=float, default=0.01, help="a step's")
    asked = parser.parse_args()
    uvicorn.run(build(asked.folder, asked.seconds), port=asked.port, log_level="warning", timeout_graceful_shutdown=0)


if __name__ == "__main__":
    main()
