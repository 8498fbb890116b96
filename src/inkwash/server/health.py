"""For those who watch the service: is it alive, is it ready, how is it doing."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from inkwash.server.answers import Json
from inkwash.server.context import Here
from inkwash.server.errors import Refusal
from inkwash.server.metrics import CONTENT_TYPE

router = APIRouter(tags=["health"])


@router.get("/health")
async def health() -> Response:
    """The server itself.  Asks nothing and nobody, so it answers at once whatever the load."""
    return Json({"status": "ok"})


@router.get("/ready")
def ready(context: Here) -> dict[str, Any]:
    """200 when the worker is up, else 503."""
    if context.closing.is_set() or not context.service.ready():
        raise Refusal(503, "not_ready", "The worker is not up.", "Wait a moment.", {"retry-after": "5"})
    return {"status": "ready"}


@router.get("/metrics")
def metrics(context: Here) -> Response:
    """Prometheus' text format."""
    if not context.settings.server.metrics:
        raise Refusal(404, "switched_off", "Metrics are switched off.", "Set metrics = true in [server].")
    text = context.metrics.text(context.service.system(), context.service.ready())
    return Response(text, media_type=CONTENT_TYPE)
