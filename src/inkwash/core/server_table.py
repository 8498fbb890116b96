"""The ``[server]`` table of the settings: where the service listens, for whom, and how much it takes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

PORTS = range(1, 65536)


@dataclass(frozen=True, repr=False)  # no repr: it would put passwords into logs
class ServerTable:
    """queue: jobs that may wait, in all; per_user: of one user, 0 for no bound of their own.  body_mb: of one request.

    retention_hours: how long stays what nobody keeps: pictures drawn over A1111's API without save_images that were not
    fetched, and sources of pictures that no job and no picture of the gallery needs.
    pictures: in one request.  passwords: "user:password,user2:password2"; "" lets everybody in.  allowed_hosts: names
    by which the service may be called beside localhost, as behind a proxy.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    queue: int = 256
    per_user: int = 0
    pictures: int = 256
    retention_hours: int = 24
    body_mb: int = 64
    allow_image_urls: bool = False
    passwords: str = ""
    allowed_hosts: tuple[str, ...] = ()
    metrics: bool = True


VARIABLES = ("host", "port", "passwords")  # INKWASH_HOST, ...: what a container or a unit file sets


def read(values: Mapping[str, object], environ: Mapping[str, str]) -> ServerTable:
    """The table of a file, then the variables.  Raises ValueError naming the key and what it should be."""
    wanted: dict[str, object] = {key: _checked(key, value) for key, value in values.items()}
    for key in VARIABLES:
        if (text := environ.get(f"INKWASH_{key.upper()}")) is not None:
            wanted[key] = _checked(key, int(text) if key == "port" and text.isdecimal() else text)
    return ServerTable(**wanted)  # type: ignore[arg-type]


NAMES = tuple(field.name for field in fields(ServerTable))


def _checked(key: str, value: object) -> object:
    default = getattr(ServerTable, key)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{key} must be true or false, found {value!r}")
    elif isinstance(default, int):
        lowest = 0 if key == "per_user" else 1
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise ValueError(f"{key} must be a whole number of at least {lowest}, found {value!r}")
        if key == "port" and value not in PORTS:
            raise ValueError(f"port must be at most {PORTS[-1]}, found {value}")
    elif isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ValueError(f"{key} must be a list of names, found {value!r}")
        return tuple(value)
    elif not isinstance(value, str):
        raise ValueError(f"{key} must be text")  # not shown: it may be a password
    return value
