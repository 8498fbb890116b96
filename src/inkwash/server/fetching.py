"""Pictures from addresses, where the settings allow it: only from the public internet, however the name is bent.

The address is resolved here, checked, and that very address is connected to, so a name that answers differently the
second time (DNS rebinding) gains nothing; every redirect goes through the same gate.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from urllib.parse import SplitResult, urljoin, urlsplit

from inkwash.core.errors import InvalidRequest

REDIRECTS = 5
SECONDS = 15.0
PORTS = {"http": 80, "https": 443}


def fetch(url: str, limit: int) -> bytes:
    """At most ``limit`` bytes from a public address.  Raises InvalidRequest."""
    for _ in range(REDIRECTS + 1):
        try:
            response, connection = _ask(url)
            with connection:
                if response.status in (301, 302, 303, 307, 308) and (place := response.getheader("location")):
                    url = urljoin(url, place)
                    continue
                if response.status != 200:
                    raise refused(f"it answers {response.status}")
                data = response.read(limit + 1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise refused(type(error).__name__) from error
        if len(data) > limit:
            raise refused("it is too large")
        return data
    raise refused("it leads on and on")


def public_address(host: str, port: int) -> str:
    """An address of the host.  Raises InvalidRequest if any of them is not on the public internet."""
    addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    for address in addresses:
        number = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(number, "ipv4_mapped", None) or number
        if not mapped.is_global or mapped.is_multicast:
            raise refused("it is not on the public internet")
    return sorted(addresses)[0]


def _ask(url: str) -> tuple[http.client.HTTPResponse, socket.socket]:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or parts.username or parts.password:
        raise refused("it is no plain http or https address")
    port = parts.port or PORTS[parts.scheme]
    if port not in PORTS.values():
        raise refused("its port is not a web server's")
    connection = _connect(parts, port)
    connection.settimeout(SECONDS)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: image/*\r\nConnection: close\r\n\r\n"
    connection.sendall(request.encode("ascii"))  # raises ValueError for anything that could end a line early
    response = http.client.HTTPResponse(connection, method="GET")
    response.begin()
    return response, connection


def _connect(parts: SplitResult, port: int) -> socket.socket:
    host = parts.hostname or ""
    plain = socket.create_connection((public_address(host, port), port), timeout=SECONDS)
    if parts.scheme == "http":
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def refused(why: str) -> InvalidRequest:
    return InvalidRequest(f"The picture's address was not followed: {why}.", "Send the picture itself.", "image")
