"""Where the files of jobs are: pictures by the naming pattern, thumbnails, traces, and the trash."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from inkwash.core import files, images, infotext, naming
from inkwash.core.errors import DamagedFile, InkwashError, InvalidRequest
from inkwash.core.infotext import Infotext
from inkwash.core.request import GenerateRequest

THUMBNAIL = 384
"""Pixels of a thumbnail's longer side."""

SOURCE = "Init image hash"  # of a picture's text

SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "application/json": ".json"}


@dataclass(frozen=True)
class Shelf:
    """data: the service's own folder.  outputs: where people find their pictures."""

    data: Path
    outputs: Path

    def picture(
        self, pattern: str, media: str, facts: Mapping[str, Any], when: float, taken: Callable[[str], bool]
    ) -> Path:
        """A name nobody has, for a new picture.  taken: whether a path is promised to another one."""
        moment = datetime.fromtimestamp(when)
        folder = self.outputs.absolute() / _kind(facts) / f"{moment:%Y-%m-%d}"
        named, number, suffix = _named(facts, moment), naming.next_number(folder), _suffix(media)
        for attempt in range(1_000_000):
            stem = naming.name(pattern, named, number + attempt)
            if attempt and "[number]" not in pattern:
                stem = f"{stem}-{attempt}"
            path = folder / f"{stem}{suffix}"
            if not taken(str(path)) and not path.exists():
                return path
        raise InkwashError(f"{folder} has no free name left for {pattern!r}.", "Put [number] into the pattern.")

    def item(self, job: str, name: str, media: str) -> Path:
        """The place of something that is not for the gallery."""
        return self.data.absolute() / "items" / job / f"{name}{_suffix(media)}"

    def forget_items(self, job: str) -> None:
        """Remove what is not in the gallery."""
        shutil.rmtree(self.data.absolute() / "items" / job, ignore_errors=True)

    def thumbnail(self, picture: str) -> Path:
        """In folders by the job's last digits, so that none grows large."""
        return self.data.absolute() / "thumbnails" / picture.split("-")[0][-2:] / f"{picture}.webp"

    def trashed(self, picture: str, path: Path) -> Path:
        """Where a picture goes that nobody wants."""
        return self.data.absolute() / "trash" / f"{picture}{path.suffix}"


def is_of(path: Path, text: str) -> bool:
    """Whether the file is the picture that the infotext describes, as one left by an attempt that was cut short."""
    try:
        return images.read_metadata(path).infotext == text
    except InkwashError:
        return False


def write_thumbnail(path: Path, data: bytes) -> tuple[int, int]:
    """Make the small picture of an encoded one.  Returns the large one's width and height.  Raises InkwashError."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            size = image.width, image.height
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DamagedFile(f"A job brought a picture that is none: {error}.", "Report this; it is a defect.") from error
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    files.write(path, images.encode(small, format="webp", quality=80))
    return size


def move(source: Path, target: Path) -> None:
    """Give a file another name, on another disk perhaps; whole or not at all.  Raises CannotWrite."""
    files.make_folder(target.parent)
    try:
        source.replace(target)
    except OSError:
        files.write(target, source.read_bytes())
        source.unlink()


def _suffix(media: str) -> str:
    if media not in SUFFIXES:
        raise InkwashError(f"A job brought something of type {media!r}.", "Report this; it is a defect.")
    return SUFFIXES[media]


def _kind(facts: Mapping[str, Any]) -> str:
    """A1111's folder: whether the picture was made from another one, or only enlarged."""
    if facts.get("postprocessing"):
        return "extras-images"
    made_from = SOURCE in infotext.parse(str(facts.get("infotext", "")))
    return "img2img-images" if made_from else "txt2img-images"


def _named(facts: Mapping[str, Any], when: datetime) -> naming.Facts:
    """The picture's own text knows what was left open in the request: size, model, variation seed."""
    parsed = infotext.parse(str(facts.get("infotext", "")))
    request = _request_of(parsed)
    return naming.Facts(
        request=request,
        seed=int(facts.get("seed", request.seed)),
        subseed=int(facts.get("subseed", request.subseed)),
        index=int(facts.get("index", 0)),
        when=when,
        model_name=parsed.get("Model", ""),
        model_hash=parsed.get("Model hash", ""),
    )


def _request_of(parsed: Infotext) -> GenerateRequest:
    """The text of a picture that was only enlarged may be any program's."""
    try:
        return infotext.to_request(parsed)
    except InvalidRequest:
        return GenerateRequest()
