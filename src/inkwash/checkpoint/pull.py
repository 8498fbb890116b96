"""From a name to a model in its folder: which files of a repository are wanted, where they go, whether they fit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inkwash.checkpoint import places
from inkwash.checkpoint.detect import detect_header
from inkwash.checkpoint.folder import COMPONENTS
from inkwash.checkpoint.foreign import other_kind
from inkwash.checkpoint.header import Header
from inkwash.checkpoint.hub import Hub, Progress, RemoteFile, Repository, matches, part_of
from inkwash.checkpoint.places import FileKind
from inkwash.checkpoint.wellknown import BY_NAME, WELL_KNOWN
from inkwash.core import files
from inkwash.core.choices import nearest
from inkwash.core.errors import InvalidRequest, ModelNotFound, UnsupportedModel

PICKLED = (".ckpt", ".pt", ".pth", ".bin")
SMALL = 2**16  # bytes; a .safetensors file below is no model


@dataclass(frozen=True)
class Pull:
    """What will be fetched.  files: one, or those of a diffusers folder, which ``target`` then is."""

    repository: Repository
    files: tuple[RemoteFile, ...]
    kind: FileKind
    target: Path
    folder: bool = False
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        return sum(file.size for file in self.files)


def prepare(hub: Hub, name: str, root: Path, kind: FileKind | None = None, saved: str = "") -> Pull:
    """Look up what ``name`` means: a name of ``WELL_KNOWN``, owner/repository or owner/repository/file.

    kind: None: what the file's own header says, read before the rest.  saved: its name here, without ending.  Raises
    ModelNotFound, InvalidRequest if several files fit, UnsupportedModel for what Inkwash has no use for, HubError.
    """
    known = BY_NAME.get(name.strip().lower())
    if known:
        path, kind, saved = f"{known.repository}/{known.file}".rstrip("/"), kind or known.kind, saved or known.saved
    else:
        path = _typed(name)
    owner, repository_name, *inner = path.split("/")
    repository = hub.look(f"{owner}/{repository_name}")
    wanted = "/".join(inner)
    if not wanted and not _singles(repository) and (parts := pipeline_files(repository)):
        target = places.home(root, "model") / places.plain_name(saved or repository_name)
        return Pull(repository, parts, "model", target, True)
    file = _named(repository, wanted) if wanted else _only(repository)
    pickled = file.name.lower().endswith(PICKLED)
    kind = kind or ("model" if pickled else kind_of(hub.header(repository, file)))
    base, ending = os.path.splitext(file.name.rsplit("/", 1)[-1])
    note = f"{file.name} is a pickle; the repository has no .safetensors.  It is read without being executed."
    return Pull(
        repository, (file,), kind, places.home(root, kind) / f"{places.plain_name(saved or base)}{ending}", False,
        (note,) if pickled else (),
    )  # fmt: skip


def carry_out(hub: Hub, pull: Pull, progress: Progress = lambda done, total: None) -> bool:
    """Fetch it; False if all of it is here already.

    Raises CannotWrite if it does not fit on the disk or something else has its name, HubError, DamagedFile.
    """
    if pull.folder:
        return _carry_out_folder(hub, pull, progress)
    [file] = pull.files
    if pull.target.exists():
        if pull.target.stat().st_size == file.size and matches(pull.target, file):
            return False
        raise _taken(pull.target)
    check_room(pull)
    hub.fetch(pull.repository, file, pull.target, progress)
    return True


def _carry_out_folder(hub: Hub, pull: Pull, progress: Progress) -> bool:
    """Into a hidden folder, which gets its name when all of it is there."""
    if pull.target.exists():
        if all((path := pull.target / file.name).is_file() and matches(path, file) for file in pull.files):
            return False
        raise _taken(pull.target)
    check_room(pull)
    building, before = _building(pull), 0
    for file in pull.files:

        def tell(here: int, size: int, before: int = before) -> None:
            progress(before + here, pull.nbytes)

        hub.fetch(pull.repository, file, building / file.name, tell)
        before += file.size
    with files.in_words(pull.target):
        os.rename(building, pull.target)
    return True


def check_room(pull: Pull) -> None:
    """Raises CannotWrite if what is still missing does not fit on the disk."""
    files.check_room(pull.target, pull.nbytes - _fetched(pull))


def kind_of(header: Header) -> FileKind:
    """What a .safetensors file is.  Raises UnsupportedModel, in words, if there is no use for it here."""
    try:
        detect_header(header)
    except UnsupportedModel:
        kind = other_kind(header)
        if kind is None:
            raise
        return kind
    return "model"


def pipeline_files(repository: Repository) -> tuple[RemoteFile, ...]:
    """The files of a diffusers folder whose weights are safetensors, half precision where there is; else none."""
    by_name = {file.name: file for file in repository.files}
    components = [name for name in COMPONENTS if f"{name}/config.json" in by_name]
    if "model_index.json" not in by_name or "unet" not in components:
        return ()
    chosen = [by_name["model_index.json"]]
    for component in components:
        weights = _weights([file for file in repository.files if file.name.startswith(f"{component}/")])
        if not weights:
            return ()
        chosen += [by_name[f"{component}/config.json"], *weights]
    small = (".json", ".txt")
    rest = [f for f in repository.files if f.name.startswith(("scheduler/", "tokenizer")) and f.name.endswith(small)]
    return tuple(chosen + rest)


def _weights(held: Sequence[RemoteFile]) -> list[RemoteFile]:
    """One component's: a whole file, the half-precision one first; else shards and the index that names them."""
    tensors = [file for file in held if file.name.endswith(".safetensors") and "non_ema" not in file.name]
    whole = [file for file in tensors if "-of-" not in file.name]
    if whole:
        return [min(whole, key=lambda file: (".fp16." not in file.name, len(file.name), file.name))]
    index = [file for file in held if file.name.endswith(".safetensors.index.json")]
    return [*index, *(file for file in tensors if "fp16" not in file.name)] if index and tensors else []


def _typed(name: str) -> str:
    """owner/repository[/file], also from the address of a page.  Raises ModelNotFound."""
    path = name.strip().removeprefix("https://").removeprefix("http://")
    path = path.removeprefix("huggingface.co/").removeprefix("hf-mirror.com/").strip("/")
    for step in ("/blob/main/", "/resolve/main/", "/tree/main"):
        path = path.replace(step, "/" if step.endswith("/") else "")
    if "/" not in path:
        close = nearest(name, tuple(BY_NAME))
        hint = f"Did you mean {' or '.join(close)}?" if close else f"Known are {', '.join(o.name for o in WELL_KNOWN)}."
        message = f"{name[:80]!r} is neither a well-known model nor owner/repository."
        raise ModelNotFound(message, f"{hint}  `inkwash models pull --list` says what they are for.")
    return path


def _singles(repository: Repository) -> list[RemoteFile]:
    """The .safetensors files at the top."""
    return [f for f in repository.files if "/" not in f.name and f.name.endswith(".safetensors") and f.size > SMALL]


def _only(repository: Repository) -> RemoteFile:
    """The file meant where none was named.  Raises InvalidRequest, ModelNotFound."""
    pickled = [f for f in repository.files if "/" not in f.name and f.name.lower().endswith(PICKLED[:-1])]
    found = _singles(repository) or pickled
    if len(found) == 1:
        return found[0]
    if not found:
        message = f"{repository.name} holds no model file at its top and no diffusers folder in safetensors."
        raise ModelNotFound(message, _offered(repository) or "Choose another repository.")
    raise InvalidRequest(f"{repository.name} holds {len(found)} models.", _offered(repository))


def _named(repository: Repository, wanted: str) -> RemoteFile:
    file = next((file for file in repository.files if file.name == wanted), None)
    if file is None:
        raise ModelNotFound(f"{repository.name} holds no {wanted[:80]!r}.", _offered(repository))
    if not file.name.lower().endswith((".safetensors", *PICKLED)):
        raise InvalidRequest(f"{wanted[:80]!r} is no model file.", _offered(repository))
    return file


def _offered(repository: Repository) -> str:
    models = [f for f in repository.files if f.name.lower().endswith((".safetensors", *PICKLED)) and f.size > SMALL]
    shown = [f"{repository.name}/{f.name} ({f.size / 1e9:.2f} GB)" for f in models[:12]]
    return f"Name one: {', '.join(shown)}{', ...' if len(models) > 12 else ''}." if shown else ""


def _taken(target: Path) -> files.CannotWrite:
    return files.CannotWrite(f"{target} exists already, with other content.", "Give the new one a name: --name NAME")


def _building(pull: Pull) -> Path:
    return pull.target.with_name(f".{pull.target.name}.{pull.repository.commit[:12]}.part")


def _fetched(pull: Pull) -> int:
    """Bytes that an earlier attempt left."""
    if pull.folder:
        return sum(path.stat().st_size for path in _building(pull).rglob("*") if path.is_file())
    part = part_of(pull.target, pull.files[0])
    return part.stat().st_size if part.exists() else 0
