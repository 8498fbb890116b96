"""What goes wrong, in the words of whichever API was asked.  No traceback ever leaves.

Native: {error, message, remedy, field}.  A1111: {error, detail, body, errors}.  OpenAI: {error: {message, type, ...}}.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inkwash.core.errors import DamagedFile, InkwashError, InvalidRequest, ModelNotFound
from inkwash.core.files import CannotWrite
from inkwash.jobs.protocol import JobNotFound, QueueFull
from inkwash.jobs.serving import PictureNotFound
from inkwash.server.answers import Json

log = logging.getLogger("inkwash.server")


class Refusal(InkwashError):
    """A request that is answered with an error.  status: HTTP's; code: a fixed word for programs."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        remedy: str = "",
        headers: Mapping[str, str] | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message, remedy)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        self.field = field


@dataclass(frozen=True)
class Fault:
    """An error on its way out.  details: of a body that does not fit its schema."""

    status: int
    code: str
    name: str  # of the exception, which A1111's shape tells
    message: str
    remedy: str = ""
    field: str | None = None
    details: Sequence[Mapping[str, Any]] = ()


# What an error of the lower floors is over HTTP; the first that fits.
STATUS: tuple[tuple[type[InkwashError], int, str], ...] = (
    (QueueFull, 429, "queue_full"),
    (JobNotFound, 404, "job_not_found"),
    (PictureNotFound, 404, "picture_not_found"),
    (ModelNotFound, 404, "model_not_found"),
    (InvalidRequest, 422, "invalid_request"),
    (DamagedFile, 422, "damaged_file"),
    (CannotWrite, 507, "cannot_write"),
    (InkwashError, 400, "refused"),
)


def install(app: FastAPI) -> None:
    app.add_exception_handler(InkwashError, _told)
    app.add_exception_handler(RequestValidationError, _misfit)
    app.add_exception_handler(HTTPException, _plain)


def answer(scope: Scope, error: InkwashError) -> Response:
    """The answer to an error in the shape of the API that was asked."""
    if isinstance(error, Refusal):
        fault = Fault(error.status, error.code, type(error).__name__, error.message, error.remedy, error.field)
        return shaped(scope, fault, error.headers)
    status, code = next((status, code) for kind, status, code in STATUS if isinstance(error, kind))
    field = error.field if isinstance(error, InvalidRequest) else None
    headers = {"retry-after": str(max(1, round(error.retry_after)))} if isinstance(error, QueueFull) else {}
    return shaped(scope, Fault(status, code, type(error).__name__, error.message, error.remedy, field), headers)


def shaped(scope: Scope, fault: Fault, headers: Mapping[str, str] | None = None) -> Response:
    path = scope["path"]
    if path.startswith(("/sdapi/", "/internal/", "/controlnet/")):
        content = _a1111(fault)
    elif path.startswith("/v1/"):
        content = _openai(fault)
    else:
        content = {"error": fault.code, "message": fault.message, "remedy": fault.remedy, "field": fault.field}
    return Json(content, fault.status, dict(headers or {}))


def _a1111(fault: Fault) -> dict[str, Any]:
    detail: object = [dict(detail) for detail in fault.details] if fault.details else fault.message
    return {"error": fault.name, "detail": detail, "body": "", "errors": fault.remedy or fault.message}


def _openai(fault: Fault) -> dict[str, Any]:
    kind = "invalid_request_error" if fault.status < 500 else "server_error"
    message = f"{fault.message} {fault.remedy}".strip()
    return {"error": {"message": message, "type": kind, "param": fault.field, "code": fault.code}}


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, InkwashError)
    return answer(request.scope, error)


async def _misfit(request: Request, error: Exception) -> Response:
    """A body or query that does not fit its schema; what was sent is not repeated."""
    assert isinstance(error, RequestValidationError)
    details = [{"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]} for one in error.errors()[:20]]
    names = [str(part) for part in details[0]["loc"][1:]] if details else []
    where, why = ".".join(names), details[0]["msg"] if details else "it is not what was expected"
    message = f"{where or 'The body'}: {why}."
    remedy = "See /openapi.json for what is expected."
    return shaped(
        request.scope, Fault(422, "invalid_body", type(error).__name__, message, remedy, where or None, details)
    )


async def _plain(request: Request, error: Exception) -> Response:
    """Unknown paths, wrong methods, broken JSON."""
    assert isinstance(error, HTTPException)
    codes = {400: "bad_request", 404: "not_found", 405: "wrong_method", 413: "too_large"}
    fault = Fault(error.status_code, codes.get(error.status_code, "refused"), type(error).__name__, str(error.detail))
    return shaped(request.scope, fault, error.headers)


@dataclass
class Net:
    """The layer around the routes: what escapes them is a defect of ours, told in the log and not to the client."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            log.error("%s %s failed", scope.get("method"), scope.get("path"), exc_info=error)
            if not started:
                await _defect(scope)(scope, receive, sending)


def _defect(scope: Scope) -> Response:
    message = "This is a defect in Inkwash; its log says more."
    remedy = "Please report it with the log's lines."
    return shaped(scope, Fault(500, "defect", "InternalError", message, remedy))
