"""Listening: the address is checked and taken before anything heavy starts; going down waits for who is served."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from inkwash.core.errors import InkwashError
from inkwash.core.server_table import ServerTable
from inkwash.core.settings import BadSettings
from inkwash.server.context import Context

GRACE = 30.0  # seconds that what is being drawn has to be finished when the server goes down
ANSWERING = 15  # seconds more, for answers to be read
BACKLOG = 2048  # connections that may knock at once


class CannotListen(InkwashError):
    """The address is taken, or is none of this machine's."""


def check_public(table: ServerTable) -> None:
    """A service that others can reach has passwords.  Raises BadSettings."""
    if table.passwords:
        return
    if not is_local(table.host):
        raise BadSettings(
            f"The service would listen on {table.host}, where others can reach it, without a password.",
            'Set passwords = "user:password" in [server] or INKWASH_PASSWORDS, or listen on 127.0.0.1.',
        )
    if names := [name for name in table.allowed_hosts if not is_local(name)]:
        raise BadSettings(
            f"The service would answer to {names[0]}, by which others can reach it, without a password.",
            'Set passwords = "user:password" in [server] or INKWASH_PASSWORDS.',
        )


def is_local(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """The port, ours from now on.  Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family)
    try:
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(
            socket, "SO_EXCLUSIVEADDRUSE"
        ):  # Windows means another thing
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise _words(host, port, error) from error
    found.setblocking(False)
    return found


def address(host: str, port: int) -> str:
    """What a person types into a browser."""
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


class Server(uvicorn.Server):
    """uvicorn's, which tells when it listens, and ends streams when it goes down."""

    def __init__(self, app: FastAPI, context: Context, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(GRACE) + ANSWERING,
                backlog=BACKLOG,
            )
        )
        self._context = context
        self._tell_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._context.closing.set()
        drained = asyncio.ensure_future(run_in_threadpool(self._context.service.drain, GRACE))
        await super().shutdown(sockets)
        await drained


def _words(host: str, port: int, error: OSError) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(f"Port {port} is in use: another program, or Inkwash itself, listens there already.",
                            f"Stop that program, or choose another port: --port {port + 1}")  # fmt: skip
    if error.errno == errno.EACCES:
        return CannotListen(f"Port {port} may not be used by this account.", "Choose one above 1023, such as 7860.")
    return CannotListen(f"{host}:{port} cannot be listened on: {error.strerror or error}.",
                        "Use 127.0.0.1, 0.0.0.0 or an address of this machine.")  # fmt: skip
