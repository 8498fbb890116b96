"""Texts: prompts token by token, pictures' own texts, styles, names to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from inkwash.core import choices, infotext, parameters, wire
from inkwash.core.errors import InvalidRequest
from inkwash.core.fingerprints import KEYS
from inkwash.core.request import GenerateRequest
from inkwash.prompt import advise, load_tokenizer, parse_networks, token_view
from inkwash.prompt.advice import Advice
from inkwash.server import uploads
from inkwash.server.context import Context, Here, Who
from inkwash.server.errors import Refusal

router = APIRouter(prefix="/api/v1", tags=["words"])
CHUNK = 75


class Prompt(BaseModel):
    model_config = ConfigDict(extra="forbid")
    prompt: str = ""
    negative: str | None = None
    steps: int = Field(20, ge=1, le=1000)


class Text(BaseModel):
    model_config = ConfigDict(extra="forbid")
    infotext: str


@router.get("/schema")
def schema(context: Here) -> dict[str, Any]:
    """Every parameter of a drawing with its type, range, default and help in both languages."""
    return {
        "parameters": parameters.describe(context.settings.limits),
        "groups": [{"name": name, "label": {"en": text.en, "zh": text.zh}} for name, text in parameters.GROUPS.items()],
        "samplers": list(choices.SAMPLERS),
        "schedules": list(choices.SCHEDULES),
    }


@router.get("/samplers")
def samplers() -> dict[str, Any]:
    return {"samplers": list(choices.SAMPLERS), "schedules": list(choices.SCHEDULES)}


@router.get("/styles")
def styles(context: Here) -> list[dict[str, str]]:
    return [
        {"name": style.name, "prompt": style.prompt, "negative_prompt": style.negative_prompt}
        for style in context.styles().values()
    ]


@router.post("/tokens")
def tokens(body: Prompt, context: Here) -> dict[str, Any]:
    """How a prompt reaches the model, and what its author probably did not mean."""
    longest = context.settings.limits.prompt
    for name, text in (("prompt", body.prompt), ("negative", body.negative or "")):
        if len(text) > longest:
            raise InvalidRequest(
                f"{name} has {len(text)} characters; at most {longest} are taken.", "Shorten it.", name
            )
    answer = _read(body.prompt, body.steps)
    if body.negative is not None:
        answer["negative"] = _read(body.negative, body.steps)
    return answer


@router.post(
    "/inspect",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": Text.model_json_schema()},
                "image/png": {"schema": {"type": "string", "format": "binary"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def inspect(request: Request, context: Here, caller: Who) -> dict[str, Any]:
    """What a picture (its bytes) or a text ({"infotext": ...}) says of how it was drawn."""
    body = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        try:
            text = Text.model_validate_json(body)
        except ValidationError:
            raise Refusal(422, "invalid_body", 'Send {"infotext": "..."} or a picture\'s bytes.') from None
        return await run_in_threadpool(_told, context, text.infotext, None, None)
    found = await run_in_threadpool(uploads.metadata, body)
    return await run_in_threadpool(_told, context, found.infotext, found.width, found.height)


def _told(context: Context, text: str, width: int | None, height: int | None) -> dict[str, Any]:
    if len(text) > 10 * context.settings.limits.prompt:
        raise InvalidRequest("The text is too long to be a picture's.", "Paste its parameters only.", "infotext")
    parsed = infotext.parse(text)
    request = infotext.to_request(parsed) if text else GenerateRequest()
    if "Sampler" not in parsed and "Steps" not in parsed:  # a bare prompt says nothing of the rest
        request = replace(GenerateRequest(), prompt=request.prompt, negative_prompt=request.negative_prompt)
    return {
        "infotext": text,
        "parameters": dict(parsed),
        "request": wire.to_json(request) | _sources(context, parsed),
        "width": width,
        "height": height,
    }


def _sources(context: Context, parsed: Mapping[str, str]) -> dict[str, Any]:
    """The pictures it was made from, those that are kept here."""
    named = {field: parsed[key].lower() for key, field in KEYS.items() if key in parsed}
    return {
        field: {wire.HASH: digest} for field, digest in named.items() if digest.isalnum() and context.blobs.has(digest)
    }


def _read(prompt: str, steps: int) -> dict[str, Any]:
    clean, networks = parse_networks(prompt)
    found = token_view(clean, load_tokenizer())
    chunks = [
        [{"text": token.text, "id": token.id, "weight": token.weight} for token in group]
        for _, group in groupby(found, key=lambda token: token.chunk)
    ] or [[]]
    return {
        "chunks": [{"tokens": chunk, "used": len(chunk), "size": CHUNK} for chunk in chunks],
        "count": len(found),
        "limit": CHUNK * len(chunks),
        "networks": [{"kind": network.kind, "name": network.name} for network in networks],
        "advice": [_advice(prompt, advice) for advice in advise(prompt, load_tokenizer(), steps=steps)],
    }


def _advice(prompt: str, advice: Advice) -> dict[str, Any]:
    """start, end: where in the prompt as typed; null where its words are not found as they are."""
    start = prompt.find(advice.where) if advice.where else -1
    return {
        "code": advice.code,
        "where": advice.where,
        "message": {"en": advice.message, "zh": advice.message_zh},
        "start": start if start >= 0 else None,
        "end": start + len(advice.where) if start >= 0 else None,
    }
