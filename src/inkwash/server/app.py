"""The application: every route behind one guard.  Who starts the service hands it in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, FastAPI

from inkwash import __version__
from inkwash.checkpoint.catalog import Catalog
from inkwash.checkpoint.hashes import HashCache
from inkwash.core import settings as configuration
from inkwash.core.settings import Settings
from inkwash.jobs.serving import ServiceProtocol
from inkwash.server import errors, health, native, openai, openai_edits
from inkwash.server.a1111 import draw, extras, lists, options, progress
from inkwash.server.accounts import Accounts, Attempts, secret_of
from inkwash.server.answers import Json
from inkwash.server.context import Context
from inkwash.server.guard import Guard
from inkwash.server.metrics import Counting
from inkwash.server.options import Options
from inkwash.server.places import rules
from inkwash.server.preferences import Preferences
from inkwash.server.sessions import Sessions
from inkwash.server.turnstile import Turnstile

DESCRIPTION = "Stable Diffusion as a service: Inkwash's own API, AUTOMATIC1111's and OpenAI's pictures."
A1111 = (draw.router, extras.router, progress.router, options.router, lists.router)
ROUTERS: Iterable[APIRouter] = (health.router, *native.ROUTERS, *A1111, openai.router, openai_edits.router)


def open_context(settings: Settings, service: ServiceProtocol, *, attempts: Attempts | None = None) -> Context:
    """What the routes work with, for one service on one data folder."""
    return Context(
        settings=settings,
        service=service,
        catalog=Catalog(settings.roots(), HashCache(configuration.cache_folder() / "hashes.json"), confined=True),
        accounts=_accounts(settings),
        options=Options(settings.data_dir / "options.json"),
        preferences=Preferences(settings.data_dir / "preferences.json"),
        attempts=attempts or Attempts(),
    )


def _accounts(settings: Settings) -> Accounts:
    passwords, folder = settings.server.passwords, settings.data_dir
    if not passwords:
        return Accounts("", b"")
    return Accounts(passwords, secret_of(folder), Sessions(folder / "sessions.json"))


def create_app(context: Context, page: Callable[[FastAPI], None] | None = None) -> FastAPI:
    """The ASGI application.  page: adds the web page's routes, after the API's."""
    app = FastAPI(
        title="Inkwash",
        version=__version__,
        description=DESCRIPTION,
        default_response_class=Json,
        docs_url=None,  # both load scripts from elsewhere
        redoc_url=None,
    )
    app.state.context = context
    errors.install(app)
    for router in ROUTERS:
        app.include_router(router)
    if page is not None:
        page(app)
    serving = context.settings.server
    app.add_middleware(errors.Net)
    app.add_middleware(
        Guard,
        rules=rules(serving.host, serving.allowed_hosts, serving.body_mb),
        accounts=context.accounts,
        attempts=context.attempts,
    )
    app.add_middleware(Turnstile)
    app.add_middleware(Counting, metrics=context.metrics)  # outermost
    _document(app)
    return app


def _document(app: FastAPI) -> None:
    """The OpenAPI document tells the real shape of errors instead of FastAPI's."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        document = original()
        for path in document["paths"].values():
            for operation in path.values():
                for status, answer in operation.get("responses", {}).items():
                    if status == "422":
                        answer["content"] = {"application/json": {"schema": {"type": "object"}}}
        document.get("components", {}).get("schemas", {}).pop("HTTPValidationError", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
