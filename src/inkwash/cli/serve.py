"""``inkwash serve`` and ``inkwash webui``: the service on this machine, without and with a browser opened."""

from __future__ import annotations

import dataclasses
import logging
import signal
import webbrowser
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from inkwash.cli.flags import of, own, panel, takes
from inkwash.cli.orders import dtype_of, memory_of
from inkwash.cli.panels import ENGINE
from inkwash.cli.terminal import say
from inkwash.core import settings
from inkwash.core.errors import InkwashError
from inkwash.core.settings import Settings

if TYPE_CHECKING:
    from inkwash.jobs.service import Setup

Host = Annotated[str | None, Option(help="The address to listen on; 0.0.0.0: all of this machine's.")]
Port = Annotated[int | None, Option(help="The port to listen on.", min=1, max=65535)]
WORKER = panel(None, *ENGINE, of("strict", "--strict/--fast", help="Bit-identical in any grouping, or quicker."))
BROWSER = panel(None, own("browser", bool, True, "Open the page in a browser.", "--browser/--no-browser"))


@takes(WORKER)
def serve(host: Host = None, port: Port = None, **flags: Any) -> None:
    """Serve pictures over HTTP: Inkwash's own API, A1111's and OpenAI's."""
    _run(_settled(host, port, flags), flags, page=False, browser=False)


@takes(WORKER, BROWSER)
def webui(host: Host = None, port: Port = None, *, browser: bool, **flags: Any) -> None:
    """Open the page in the browser: draw, look, learn.  The HTTP APIs are served beside it."""
    _run(_settled(host, port, flags), flags, page=True, browser=browser)


def _settled(host: str | None, port: int | None, flags: Mapping[str, Any]) -> Settings:
    """The settings with the flags over them.  Raises BadSettings."""
    here = settings.load()
    table = dataclasses.replace(here.server, host=host or here.server.host, port=port or here.server.port)
    memory, folder = memory_of(flags, here.memory), flags["models_dir"] or here.models_dir
    return dataclasses.replace(here, server=table, memory=memory, models_dir=folder)


def _run(here: Settings, flags: Mapping[str, Any], *, page: bool, browser: bool) -> None:
    """Until Ctrl-C or SIGTERM.  What can be refused is refused before the worker starts."""
    from inkwash.jobs.service import Service
    from inkwash.server import app, listening
    from inkwash.web import add_page

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    listening.check_public(here.server)
    setup = setup_of(here, flags)
    listener = listening.listen(here.server.host, here.server.port)
    service = Service(setup)
    context = app.open_context(here, service)
    url = listening.address(here.server.host, here.server.port)

    def started() -> None:
        say(f"Inkwash is at {url}  (Ctrl-C stops it)")
        if browser and not webbrowser.open(url):
            say("Open that address in a browser.")

    _stay_alive_after_signals()
    listening.make_room()
    with service:
        listening.Server(app.create_app(context, add_page if page else None), context, started).run([listener])
        say("Stopping; what is being drawn may finish.")
    if not context.closing.is_set():
        raise InkwashError("The service could not start.", "The lines above say why.")


def setup_of(here: Settings, flags: Mapping[str, Any]) -> Setup:
    """What the service needs to know.  What the page set goes over inkwash.toml.  Raises InvalidRequest."""
    from inkwash.jobs.service import Setup
    from inkwash.server.preferences import Preferences

    saving = Preferences(here.data_dir / "preferences.json").saving(here.pattern)
    return Setup(
        data_dir=here.data_dir,
        outputs_dir=here.outputs_dir,
        models_dir=here.models_dir,
        pattern=saving.pattern,
        format=saving.format,
        quality=saving.quality,
        queue=here.server.queue,
        per_user=here.server.per_user or None,
        retention=here.server.retention_hours,
        limits=here.limits,
        memory=here.memory,
        device=flags["device"],
        dtype=dtype_of(flags),
        strict=flags["strict"],
    )


def _stay_alive_after_signals() -> None:
    """uvicorn raises the signal that ended it once more; by then there is still the worker to be stopped."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
