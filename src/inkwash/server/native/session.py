"""The page's own way in: a cookie instead of a password with every call."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from inkwash.server.accounts import COOKIE, SESSION_SECONDS
from inkwash.server.context import Here, Who
from inkwash.server.errors import Refusal

router = APIRouter(prefix="/api/v1", tags=["session"])


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid")
    user: str = Field(max_length=200)
    password: str = Field(max_length=1000)


@router.post("/login")
def login(body: Login, request: Request, response: Response, context: Here) -> dict[str, Any]:
    """A session cookie for a name and a password."""
    address = request.client.host if request.client else ""
    if wait := context.attempts.wait(address):
        raise Refusal(429, "too_many_attempts", "Too many wrong passwords came from this address.", "Wait a minute.",
                      {"retry-after": str(int(wait) + 1)})  # fmt: skip
    if not context.accounts.check(body.user, body.password):
        context.attempts.failed(address)
        raise Refusal(401, "wrong_password", "The name or the password is wrong.", "Try again.")
    response.set_cookie(
        COOKIE,
        context.accounts.cookie_of(body.user),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return {"user": body.user, "login_needed": True}


@router.post("/logout")
def logout(request: Request, response: Response, context: Here) -> dict[str, Any]:
    """The session is closed, whoever still has its cookie."""
    context.accounts.end(request.cookies.get(COOKIE, ""))
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return {"user": None}


@router.get("/session")
def session(request: Request, context: Here, caller: Who) -> dict[str, Any]:
    """Whether a password is needed, who is logged in, and which of the page's languages the browser prefers."""
    return {
        "user": caller.account,
        "login_needed": context.accounts.needed and caller.account is None,
        "language": language(request.headers.get("accept-language", "")),
    }


def language(header: str) -> str:
    """ "zh" or "en", whichever ``Accept-Language`` names first."""
    for part in header[:1000].lower().split(","):
        name = part.partition(";")[0].strip()
        if name.startswith(("zh", "en")):
            return name[:2]
    return "en"
