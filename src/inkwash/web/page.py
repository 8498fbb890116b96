"""Serves the built page: a handful of small files, kept in memory, with the policy that browsers hold it to."""

from __future__ import annotations

import gzip
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request, Response

STATIC = Path(__file__).parent / "static"
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Nothing but files of this host; data: and blob: are previews and the pictures a person drops on the page."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_FOREVER = "public, max-age=31536000, immutable"
_WORTH_PACKING = 1024  # bytes


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page.  packed: the same, gzipped, where that gains something.  hashed: named by its content."""

    body: bytes
    packed: bytes | None
    media: str
    hashed: bool


def load(folder: Path = STATIC) -> dict[str, Asset]:
    """URL path -> asset of every file below folder; "/" is index.html."""
    assets = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        path = "/" + file.relative_to(folder).as_posix()
        body = file.read_bytes()
        packed = gzip.compress(body, 9, mtime=0) if len(body) >= _WORTH_PACKING else None
        media = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        assets["/" if path == "/index.html" else path] = Asset(body, packed, media, path.startswith("/assets/"))
    return assets


def add_page(app: FastAPI, folder: Path = STATIC) -> None:
    """Routes for the page's files, each by its exact path.  Call after the API's routes are there."""
    assets = load(folder)

    async def serve(request: Request) -> Response:
        return answer(assets[request.scope["path"].removeprefix(request.scope.get("root_path", ""))], request)

    for path in assets:
        app.add_route(path, serve, methods=["GET"], include_in_schema=False)


def answer(asset: Asset, request: Request) -> Response:
    """The asset, packed for a browser that takes it.  Names with a hash are kept for ever, index.html never."""
    headers = {**HEADERS, "Cache-Control": _FOREVER if asset.hashed else "no-store"}
    if asset.packed is None:
        return Response(asset.body, media_type=asset.media, headers=headers)
    headers["Vary"] = "Accept-Encoding"
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.media, headers={**headers, "Content-Encoding": "gzip"})
    return Response(asset.body, media_type=asset.media, headers=headers)
