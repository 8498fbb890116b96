"""What the flags of every drawing command ask for beside the picture itself: an engine, and where pictures go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from inkwash.core import files, naming, settings
from inkwash.core.choices import DTYPES, PICTURE_FORMATS, QUALITY, choose
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import GenerateRequest

if TYPE_CHECKING:
    from inkwash.cli.drawing import Drawer, Order
    from inkwash.cli.saving import Saver


def order_of(request: GenerateRequest, flags: Mapping[str, Any], here: settings.Settings, folder: str) -> Order:
    """request: checked.  folder: of the outputs, where pictures go if --out does not say.  Raises InkwashError."""
    from inkwash.cli.drawing import Order

    out, pattern, format, quality = (flags[name] for name in ("out", "pattern", "format", "quality"))
    saver = saver_for(here, out, pattern, format, quality, datetime.now(), folder)
    files.check_folder(saver.folder)  # a read-only folder is told now, not after minutes of drawing
    return Order(request, saver, flags["save_steps"], flags["as_json"])


def engine_of(context: typer.Context, flags: Mapping[str, Any], here: settings.Settings) -> Drawer:
    """The engine that the flags ask for.  Raises InvalidRequest."""
    from inkwash.cli.drawing import open_engine

    folder, memory = flags["models_dir"] or here.models_dir, memory_of(flags, here.memory)
    opened: Drawer = (context.obj or open_engine)(folder, flags["device"], dtype_of(flags), memory)
    return opened


def dtype_of(flags: Mapping[str, Any]) -> str | None:
    """Raises InvalidRequest."""
    return None if flags["dtype"] is None else choose("dtype", flags["dtype"], DTYPES)


def memory_of(flags: Mapping[str, Any], memory: settings.Memory) -> settings.Memory:
    """The settings' with the flags over them.  Raises BadSettings."""
    policy, limit = flags.get("memory_policy"), flags.get("memory_limit")
    told = replace(
        memory, policy=memory.policy if policy is None else policy, limit=memory.limit if limit is None else limit
    )
    return settings.checked_memory(told, "the flags")


def saver_for(
    here: settings.Settings,
    out: Path | None,
    pattern: str | None,
    format: str | None,
    quality: int,
    now: datetime,
    kind: str = "txt2img-images",
) -> Saver:
    """Where and how pictures are saved.  kind: the folder of the outputs they go to.  Raises InvalidRequest."""
    from inkwash.cli.saving import Saver
    from inkwash.core import images

    pattern = pattern or here.pattern
    naming.check(pattern)
    wanted = (
        None
        if format is None
        else choose("picture format", {"jpg": "jpeg"}.get(format.lower(), format), PICTURE_FORMATS)
    )
    if not 1 <= quality <= 100:
        raise InvalidRequest(f"quality is {quality}; it must lie between 1 and 100.", f"Try {QUALITY}.")
    if out is not None and out.suffix and not out.is_dir():
        named = images.format_of(out)
        if wanted not in (None, named):
            raise InvalidRequest(f"--out {out} and --format {wanted} contradict each other.", "Leave --format out.")
        return Saver(out.parent.absolute(), pattern, named, quality, now, name=out.name)
    folder = out or here.outputs_dir / kind / f"{now:%Y-%m-%d}"
    return Saver(folder.absolute(), pattern, wanted or "png", quality, now)
