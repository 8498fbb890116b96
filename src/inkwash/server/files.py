"""Files on their way out: only where the service keeps things, only as kinds that no browser runs."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse

from inkwash.server.context import Context

MEDIA = frozenset({"image/png", "image/jpeg", "image/webp", "application/json"})
CACHED = {"cache-control": "private, max-age=86400"}  # a picture of an id never changes


def handed_out(context: Context, path: str | Path, media: str, *, download: bool = False) -> FileResponse:
    """The file as an answer; what is not a picture or JSON is downloaded, never shown.  Raises Refusal 404."""
    real = context.check_file(Path(path))
    known = media in MEDIA
    disposition = "attachment" if download or not known else "inline"
    kind = media if known else "application/octet-stream"
    return FileResponse(real, media_type=kind, filename=real.name, content_disposition_type=disposition, headers=CACHED)
