"""What stands before every route: who is called, from where, by whom and with how much.

Plain ASGI, so that nothing of a refused body is ever kept and streams pass unbuffered.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inkwash.server.accounts import COOKIE, Accounts, Attempts
from inkwash.server.errors import Refusal, answer

OPEN = frozenset({"/health", "/ready", "/", "/api/v1/login", "/api/v1/session"})  # answer without a password
OPEN_UNDER = "/assets/"  # the page itself: nothing of anybody's
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",  # the page brings one of its own
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Rules:
    """hosts: names the service answers to; any_address: whether numbers do too, as on a public interface."""

    hosts: frozenset[str]
    any_address: bool
    body: int  # bytes of one request

    def knows(self, host: str) -> bool:
        """Whether a ``Host`` header means this service, not a stranger's name that was pointed here."""
        name = _host_name(host)
        if name is None:
            return False
        address = _address(name)
        if address is None:
            return name in self.hosts
        return self.any_address or address.is_loopback or name in self.hosts


def rules(host: str, allowed: Iterable[str], body_mb: int) -> Rules:
    """host: the address that is listened on."""
    names = {"localhost", host.lower(), *(name.lower() for name in allowed)}
    address = _address(host)
    public = address is None or not address.is_loopback
    if public:
        names.add(socket.gethostname().lower())
    return Rules(frozenset(names), public, body_mb * 2**20)


@dataclass
class Guard:
    """Checks host, origin, password and size, in this order; adds the headers every answer carries."""

    app: ASGIApp
    rules: Rules
    accounts: Accounts
    attempts: Attempts = field(default_factory=Attempts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = _with_headers(send)
        headers = Headers(scope=scope)
        try:
            self._check_place(headers)
            scope.setdefault("state", {})["user"] = self._user(scope, headers)
            receive = self._limited(headers, receive)
        except Refusal as refusal:
            await answer(scope, refusal)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _check_place(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self.rules.knows(host):
            raise Refusal(403, "wrong_host", f"This service is not called {host[:80]!r}.",
                          "Use its address, or add the name to allowed_hosts in [server].")  # fmt: skip
        origin = headers.get("origin")
        if origin is not None and not _same_origin(origin, host):
            raise Refusal(403, "foreign_origin", f"Pages of {origin[:80]!r} may not use this service.",
                          "Open the service's own page.")  # fmt: skip

    def _user(self, scope: Scope, headers: Headers) -> str | None:
        """The account that asks; None where there are no accounts or the path is open to all."""
        if not self.accounts.needed:
            return None
        address = (scope.get("client") or ("",))[0]
        user = self._known(headers, address)
        path = scope["path"]
        if user is None and path not in OPEN and not path.startswith(OPEN_UNDER):
            raise Refusal(401, "login_needed", "This service needs a user name and a password.",
                          "Log in, or send them with HTTP Basic authentication.", _challenge(headers))  # fmt: skip
        return user

    def _known(self, headers: Headers, address: str) -> str | None:
        user = self.accounts.user_of_cookie(_cookie(headers))
        authorization = headers.get("authorization")
        if user is not None or authorization is None:
            return user
        if wait := self.attempts.wait(address):
            raise Refusal(429, "too_many_attempts", "Too many wrong passwords came from this address.",
                          "Wait a minute.", {"retry-after": str(int(wait) + 1)})  # fmt: skip
        user = self.accounts.user_of_basic(authorization)
        if user is None:
            self.attempts.failed(address)
        return user

    def _limited(self, headers: Headers, receive: Receive) -> Receive:
        """The body as it comes, refused as soon as it is known to be too large: by its header, else while it comes."""
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(415, "packed_body", "Packed request bodies are not taken.", "Send it without encoding.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self.rules.body:
            raise self._too_large()
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.rules.body:
                raise HTTPException(413, self._too_large().message)  # what FastAPI lets through while it reads
            return message

        return limited

    def _too_large(self) -> Refusal:
        return Refusal(413, "too_large", f"The request is larger than {self.rules.body >> 20} MiB.",
                       "Send smaller pictures, or raise body_mb in [server].", {"connection": "close"})  # fmt: skip


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _host_name(host: str) -> str | None:
    """The name in a Host header, without port; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises for senseless ones
    except ValueError:
        return None
    return parts.hostname.rstrip(".") if parts.hostname and parts.netloc == host and "@" not in host else None


def _same_origin(origin: str, host: str) -> bool:
    scheme, _, place = origin.partition("://")
    return scheme in ("http", "https") and _with_port(place, scheme) == _with_port(host, scheme)


def _with_port(place: str, scheme: str) -> str:
    default = ":443" if scheme == "https" else ":80"
    return place.lower().removesuffix(default)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _challenge(headers: Headers) -> dict[str, str]:
    """Browsers open a password window for this header; the page has its own, so its calls go without."""
    if headers.get("sec-fetch-mode", "navigate") != "navigate":
        return {}
    return {"www-authenticate": 'Basic realm="Inkwash", charset="UTF-8"'}
