"""The pictures a picture was made from: noted by a hash of their pixels in its text, found again among files."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from PIL import Image

from inkwash.core import files, images, infotext, settings
from inkwash.core.errors import InkwashError
from inkwash.core.fingerprints import KEYS, fingerprint
from inkwash.core.request import GenerateRequest

KEPT = "init-images"  # A1111's name of the folder of kept sources, in the outputs' folder
MOST = 20_000  # files looked at; more would take minutes


class SourceNotFound(InkwashError):
    """A picture that another one was made from is in none of the folders searched."""


def keep(image: Image.Image, folder: Path) -> Path:
    """Store a source under its hash, once.  Raises CannotWrite."""
    path = folder / f"{fingerprint(image)}.png"
    if not path.exists():
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        files.write(path, buffer.getvalue())
    return path


def inspect(picture: Image.Image | Path | str, folders: Sequence[Path | str] = ()) -> GenerateRequest:
    """The request that draws ``picture`` again, read from its metadata.

    The pictures it was made from are looked for in ``folders``, beside it and among the outputs.  Raises
    SourceNotFound; DamagedFile for what is no picture; InkwashError if it says nothing of how it was drawn.
    """
    if isinstance(picture, Image.Image):
        name, text = getattr(picture, "filename", ""), images.infotext_of(picture)
    else:
        name, text = str(picture), images.read_metadata(picture).infotext
    parsed = infotext.parse(text)
    if not parsed.parameters:
        raise InkwashError(
            f"{name or 'The picture'} does not say how it was drawn.",
            "Only pictures saved with their parameters can be drawn again.",
        )
    beside = [Path(name).absolute().parent] if name else []
    outputs = settings.load().outputs_dir
    return with_sources(infotext.to_request(parsed), parsed, [*map(Path, folders), *beside], outputs)


def with_sources(
    request: GenerateRequest, parsed: Mapping[str, str], folders: Sequence[Path], outputs: Path
) -> GenerateRequest:
    """The request with the pictures its text names by hash.  outputs: searched with its folders.

    Raises SourceNotFound.
    """
    wanted = {field: parsed[key].lower() for key, field in KEYS.items() if key in parsed}
    if not wanted:
        return request
    size = (int(parsed.get("Init image size-1", 0)), int(parsed.get("Init image size-2", 0)))
    found = find(set(wanted.values()), _candidates(set(wanted.values()), folders, outputs), size if all(size) else None)
    for field, digest in wanted.items():
        if digest not in found:
            looked = ", ".join(map(str, dict.fromkeys([*folders, outputs])))
            raise SourceNotFound(
                f"The picture was drawn from another one ({field}, hash {digest[:12]}), which is not in {looked}.",
                "Put that picture beside it, or name its folder.",
            )
    fields = {field: found[digest] for field, digest in wanted.items()}
    return dataclasses.replace(request, **fields)  # type: ignore[arg-type]


def find(digests: set[str], paths: Iterable[Path], size: tuple[int, int] | None = None) -> dict[str, Image.Image]:
    """Pictures by hash: A1111's MD5 or this program's.  size: of the pictures, if known; others are not unpacked."""
    found: dict[str, Image.Image] = {}
    for path in paths:
        if len(found) == len(digests):
            break
        image = _read(path, size)
        if image is None:
            continue
        for digest in (fingerprint(image), hashlib.md5(image.tobytes(), usedforsecurity=False).hexdigest()):
            if digest in digests:
                found.setdefault(digest, image)
    return found


def _read(path: Path, size: tuple[int, int] | None) -> Image.Image | None:
    """None: not a picture, a damaged one or one of another size, hence not the one looked for."""
    try:
        if size is not None:
            found = images.read_metadata(path)
            if (found.width, found.height) not in (size, size[::-1]):
                return None
        return images.load(path)
    except InkwashError:
        return None


def _candidates(digests: set[str], folders: Sequence[Path], outputs: Path) -> Iterator[Path]:
    """Kept sources first, which bear their hash as a name, then every other picture, each once."""
    places = list(dict.fromkeys([*folders, outputs]))
    yield from (path for place in places for digest in digests if (path := place / KEPT / f"{digest}.png").is_file())
    every = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    every += sorted(outputs.rglob("*")) if outputs.is_dir() else []
    pictures = (path for path in dict.fromkeys(every) if path.suffix.lower() in images.READABLE)
    yield from islice(pictures, MOST)
