"""``inkwash inspect``: what a picture file says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from inkwash.cli.terminal import harmless
from inkwash.core.errors import InvalidRequest


def inspect(
    picture: Annotated[Path, typer.Argument(help="A PNG, JPEG, WebP or GIF file.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show a picture's metadata: prompt, seed, sampler, model and all that drew it."""
    from inkwash.core import images, infotext

    if picture.suffix.lower() in (".safetensors", ".ckpt", ".pt"):
        raise InvalidRequest(f"{picture} is a model, not a picture.", "List models with: inkwash models")
    found = images.read_metadata(picture)
    parsed = infotext.parse(found.infotext)
    if as_json:
        answer = {
            "file": str(picture),
            "format": found.format,
            "width": found.width,
            "height": found.height,
            "mode": found.mode,
            "infotext": found.infotext,
            "prompt": parsed.prompt,
            "negative_prompt": parsed.negative_prompt,
            "parameters": parsed.parameters,
            "texts": found.texts,
        }
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    print(f"{picture}: {found.format}, {found.width}x{found.height}, {found.mode}")
    if not found.infotext:
        print("It holds no generation parameters.")
    rows = {"Prompt": parsed.prompt, "Negative prompt": parsed.negative_prompt, **parsed.parameters, **found.texts}
    shown = {key: value for key, value in rows.items() if value}
    width = max(map(len, shown), default=0)
    for key, value in shown.items():
        indented = harmless(value).replace("\n", "\n" + " " * (width + 4))
        print(f"  {harmless(key):{width}}  {indented}")
