"""Whose names and pages are ours: what stands against rebound names and foreign origins."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit


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


def _host_name(host: str) -> str | None:
    """The name in a Host header, without port; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises for senseless ones
    except ValueError:
        return None
    return parts.hostname.rstrip(".") if parts.hostname and parts.netloc == host and "@" not in host else None


def same_origin(origin: str, host: str) -> bool:
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
