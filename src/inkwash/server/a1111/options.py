"""GET and POST options: the account's own, the whole dictionary out and back in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import JsonValue

from inkwash.core.errors import ModelNotFound
from inkwash.server.context import Context, Here, Who

router = APIRouter(prefix="/sdapi/v1", tags=["A1111"])


@router.get("/options")
def options(context: Here, caller: Who) -> dict[str, Any]:
    found = context.options.of(caller.user)
    entry = context.catalog.find(found["sd_model_checkpoint"]) if found["sd_model_checkpoint"] else _first(context)
    if entry is not None:
        found |= {"sd_model_checkpoint": entry.title, "sd_checkpoint_hash": entry.sha256 or ""}
    return found


@router.post("/options")
def set_options(body: Annotated[dict[str, JsonValue], Body()], context: Here, caller: Who) -> None:
    """Unknown keys are ignored; null means the default.  A model must be there."""
    values: dict[str, Any] = dict(body)
    model = values.get("sd_model_checkpoint")
    if isinstance(model, str) and model:
        values["sd_model_checkpoint"] = _place(context, model)
    context.options.set(caller.user, values)


@router.get("/cmd-flags")
def cmd_flags(context: Here) -> dict[str, Any]:
    """What the service was started with, in A1111's words; no folders."""
    serving = context.settings.server
    return {
        "api": True,
        "nowebui": False,
        "listen": serving.host not in ("127.0.0.1", "localhost", "::1"),
        "port": serving.port,
        "server_name": None,
        "api_server_stop": False,
        "enable_insecure_extension_access": False,
        "disable_safe_unpickle": False,
        "ckpt": None,
        "ckpt_dir": None,
        "vae_dir": None,
        "lora_dir": None,
        "embeddings_dir": "embeddings",
        "styles_file": ["styles.csv"],
        "xformers": False,
        "opt_sdp_attention": True,
        "medvram": False,
        "lowvram": False,
        "no_half": False,
    }


def _first(context: Context) -> Any:
    return next(iter(context.catalog.entries("model")), None)


def _place(context: Context, name: str) -> str | None:
    """The model's place in the catalog; None for the first, which is the default anyway."""
    if "\0" in name:
        raise ModelNotFound("No model has such a name.", "GET /sdapi/v1/sd-models lists them.")
    found, first = context.catalog.find(name), _first(context)
    return None if first is not None and found.path == first.path else found.relative
