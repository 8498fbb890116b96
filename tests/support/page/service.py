"""The service with a painting worker, on a port: `python -m tests.support.page.service FOLDER --port N`."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from tests.support.page.painter import Painter

from inkwash.core.server_table import ServerTable
from inkwash.core.settings import Settings
from inkwash.server.app import create_app, open_context
from inkwash.web import add_page

STYLES = 'name,prompt,negative_prompt\nink wash,"{prompt}, ink wash painting",photo\nfilm,"{prompt}, film grain",\n'


def build(folder: Path, seconds: float, side: int, passwords: str = "") -> tuple[FastAPI, Painter]:
    """The real routes, and a few by which tests hold the worker.  folder: what this service keeps, and its models."""
    library = folder / "library"
    library.mkdir(parents=True, exist_ok=True)
    (library / "styles.csv").write_text(STYLES, encoding="utf-8")
    settings = Settings(library, folder / "outputs", folder / "data", server=ServerTable(passwords=passwords))
    painter = Painter(settings.data_dir, settings.outputs_dir, seconds, side, library)

    def add_all(app: FastAPI) -> None:
        add_page(app)
        add_handles(app, painter)

    return create_app(open_context(settings, painter), add_all), painter


def add_handles(app: FastAPI, painter: Painter) -> None:
    @app.post("/test/hold/{step}")
    def hold(step: int) -> None:
        painter.gate.hold(step)

    @app.post("/test/go")
    def go() -> None:
        painter.gate.let_go()

    @app.post("/test/fill/{count}")
    def fill(count: int) -> None:
        painter.fill(count)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=7861)
    parser.add_argument("--seconds", type=float, default=0.01, help="that a step takes")
    parser.add_argument("--side", type=int, default=512, help="of pictures whose size nobody asks for")
    parser.add_argument("--passwords", default="")
    asked = parser.parse_args()
    app, painter = build(asked.folder, asked.seconds, asked.side, asked.passwords)
    painter.start()
    uvicorn.run(app, port=asked.port, log_level="warning", lifespan="off", timeout_graceful_shutdown=0)


if __name__ == "__main__":
    main()
