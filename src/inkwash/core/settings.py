"""Folders, defaults and limits: built-in values, then inkwash.toml, then INKWASH_ variables; flags go over all.

Plain dataclasses and tomllib rather than pydantic-settings: some values do not earn 0.3 s at every start.
"""

from __future__ import annotations

import math
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from inkwash.core import server_table
from inkwash.core.choices import nearest
from inkwash.core.errors import InkwashError
from inkwash.core.limits import Limits
from inkwash.core.server_table import ServerTable


class BadSettings(InkwashError):
    """inkwash.toml or an INKWASH_ variable cannot be used."""


@dataclass(frozen=True)
class Memory:
    """How many models stay ready at once, and how many GB their weights may take together; 0: half of what there is.

    policy: which weights are in memory; "automatic": all that fit.  limit: GB that the whole process may take, on a
    GPU of its memory; 0: all there is.
    """

    models: int = 2
    gigabytes: float = 0.0
    policy: str = "automatic"
    limit: float = 0.0


@dataclass(frozen=True)
class Settings:
    """models_dir: the folder that holds ``models/`` and ``embeddings/``, as A1111's does.  outputs_dir: pictures.

    extra_models_dirs: more such folders, in which models are found too; nothing is ever written there.
    data_dir: what the service keeps: its jobs, thumbnails, the trash.
    """

    models_dir: Path
    outputs_dir: Path
    data_dir: Path
    pattern: str = "[number]-[seed]"
    limits: Limits = field(default_factory=Limits)
    memory: Memory = field(default_factory=Memory)
    server: ServerTable = field(default_factory=ServerTable)
    file: Path | None = None  # the inkwash.toml that was read
    extra_models_dirs: tuple[Path, ...] = ()

    def roots(self, models_dir: str | Path | None = None) -> list[Path]:
        """Where models are looked for, the main folder first.  models_dir: another one in its place."""
        return [Path(models_dir) if models_dir is not None else self.models_dir, *self.extra_models_dirs]


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process.  Raises BadSettings naming the file or variable."""
    environ = os.environ if environ is None else environ
    file = config_file(environ)
    values = _read(file) if file is not None else {}
    limits = _limits(values.pop("limits", {}), file)
    memory = _memory(values.pop("memory", {}), file, environ)
    server = _server(values.pop("server", {}), file, environ)
    for key in TEXTS:
        if (variable := environ.get(f"INKWASH_{key.upper()}")) is not None:
            values[key] = variable
    base = home()
    models_dir = Path(_text(values, "models_dir", str(base), file)).expanduser()
    outputs_dir = Path(_text(values, "outputs_dir", str(base / "outputs"), file)).expanduser()
    data_dir = Path(_text(values, "data_dir", str(base / "data"), file)).expanduser()
    pattern = _text(values, "pattern", "[number]-[seed]", file)
    extra = _folders(values.get(FOLDERS, []), file, environ)
    return Settings(models_dir, outputs_dir, data_dir, pattern, limits, memory, server, file, extra)


POLICIES = ("automatic", "resident", "swapped", "sequential")
TEXTS = ("models_dir", "outputs_dir", "data_dir", "pattern")
FOLDERS = "extra_models_dirs"
TABLES = ("limits", "memory", "server")


def home() -> Path:
    """The clone when running from one, else the current folder."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "pyproject.toml").is_file() and (root / "src" / "inkwash").is_dir() else Path.cwd()


def config_file(environ: Mapping[str, str]) -> Path | None:
    """The first inkwash.toml of: INKWASH_CONFIG, home(), the system's place for a person's configuration."""
    if named := environ.get("INKWASH_CONFIG"):
        return Path(named).expanduser()
    return next(
        (path for path in (home() / "inkwash.toml", _user_folder(environ) / "inkwash.toml") if path.is_file()), None
    )


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where what can be computed again is kept, such as files' hashes: INKWASH_CACHE_DIR, else the system's place."""
    environ = os.environ if environ is None else environ
    if named := environ.get("INKWASH_CACHE_DIR"):
        return Path(named).expanduser()
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "Inkwash" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/Inkwash"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inkwash"


def _user_folder(environ: Mapping[str, str]) -> Path:
    if sys.platform == "win32":
        return Path(environ.get("APPDATA") or Path.home() / "AppData/Roaming") / "Inkwash"
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/Inkwash"
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "inkwash"


def _read(file: Path) -> dict[str, object]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(
            f"{file} cannot be read: {error.strerror}.", "Correct INKWASH_CONFIG, or unset it."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{file} is not valid TOML: {error}.", "Correct that line.") from error
    _refuse_unknown(values, (*TEXTS, FOLDERS, *TABLES), file)
    return values


def _refuse_unknown(values: Mapping[str, object], known: tuple[str, ...], file: Path | None) -> None:
    for key in values:
        if key not in known:
            close = nearest(key, known)
            remedy = f"Did you mean {close[0]}?" if close else f"Known are: {', '.join(known)}."
            raise BadSettings(f"{file} sets {key!r}, which does not exist.", remedy)


def _text(values: Mapping[str, object], key: str, default: str, file: Path | None) -> str:
    value = values.get(key, default)
    if not isinstance(value, str) or not value:
        raise BadSettings(f"{key} in {file} must be text, found {value!r}.", f'For example {key} = "{default}".')
    return value


def _folders(value: object, file: Path | None, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """A list in the file; in the variable, folders between the system's own separators (: or ;)."""
    if (named := environ.get("INKWASH_EXTRA_MODELS_DIRS")) is not None:
        value = [part for part in named.split(os.pathsep) if part]
    if not isinstance(value, list) or not all(isinstance(part, str) and part for part in value):
        message = f"{FOLDERS} in {file} must be a list of folders, found {value!r}."
        raise BadSettings(message, f'For example {FOLDERS} = ["/data/ComfyUI"].')
    return tuple(Path(part).expanduser() for part in value)


def _limits(values: object, file: Path | None) -> Limits:
    values = _table("limits", values, tuple(entry.name for entry in fields(Limits)), file)
    for key, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise BadSettings(f"limits.{key} in {file} must be a whole number above 0, found {value!r}.", "Correct it.")
    return Limits(**values)


def _memory(values: object, file: Path | None, environ: Mapping[str, str]) -> Memory:
    values = dict(_table("memory", values, tuple(entry.name for entry in fields(Memory)), file))
    for key in ("policy", "limit"):
        if (variable := environ.get(f"INKWASH_MEMORY_{key.upper()}")) is not None:
            values[key] = _number(variable) if key == "limit" else variable
    memory = Memory(**values)
    if type(memory.models) is not int or memory.models < 1:
        raise BadSettings(f"memory.models in {file} must be a whole number above 0, found {memory.models!r}.", "Try 2.")
    if type(memory.gigabytes) not in (int, float) or not 0 <= memory.gigabytes < math.inf:
        message = f"memory.gigabytes in {file} must be a number from 0, found {memory.gigabytes!r}."
        raise BadSettings(message, "Leave it out to give models half of what the machine or card has.")
    return checked_memory(memory, str(file or "an INKWASH_ variable"))


def checked_memory(memory: Memory, source: str) -> Memory:
    """The memory's policy and limit as they are.  source: who set them.  Raises BadSettings."""
    if memory.policy not in POLICIES:
        message = f"memory.policy in {source} is {memory.policy!r}."
        raise BadSettings(message, f"Choose one of: {', '.join(POLICIES)}.")
    if type(memory.limit) not in (int, float) or not 0 <= memory.limit < math.inf:
        message = f"memory.limit in {source} must be a number of GB from 0, found {memory.limit!r}."
        raise BadSettings(message, "Leave it out to allow all the memory there is.")
    return memory


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _table(name: str, values: object, known: tuple[str, ...], file: Path | None) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise BadSettings(f"{name} in {file} must be a table.", f"Write [{name}] above its values.")
    _refuse_unknown(values, known, file)
    return values


def _server(values: object, file: Path | None, environ: Mapping[str, str]) -> ServerTable:
    values = _table("server", values, server_table.NAMES, file)
    try:
        return server_table.read(values, environ)
    except ValueError as error:
        raise BadSettings(f"The server's {error} (in {file or 'an INKWASH_ variable'}).", "Correct it.") from None
