"""Which files make up a diffusers folder, and their headers joined under "unet.", "vae.", "text_encoder." and so on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from inkwash.checkpoint.header import Header, TensorInfo
from inkwash.checkpoint.regular import damaged, opened
from inkwash.core.errors import InkwashError, ModelNotFound

COMPONENTS = ("unet", "vae", "text_encoder", "text_encoder_2")
MAX_JSON = 16_000_000  # bytes of an index or config
_ENDINGS = (".safetensors", ".bin")  # the latter pickled, and only read where there is no former


def is_pipeline(folder: Path) -> bool:
    """Is ``folder`` a diffusers pipeline: components in folders of their own?"""
    return os.path.isfile(folder / "model_index.json") or os.path.isdir(folder / "unet")


def component_files(folder: Path) -> list[tuple[str, Path]]:
    """(prefix of its tensors' names, file) for every weights file of a pipeline, or of one component's own folder."""
    if not is_pipeline(folder):
        return [("", file) for file in _weights(folder)]
    present = [name for name in COMPONENTS if (folder / name).is_dir()]
    return [(f"{name}.", file) for name in present for file in _weights(folder / name)]


def _weights(folder: Path) -> list[Path]:
    """The files of one component: one file or all shards; full precision before a variant such as fp16."""
    names = _names(folder)
    indexes = [name for name in names if _shard_ending(name)]
    whole = [name for name in names if name.endswith(_ENDINGS) and "-of-" not in name and "non_ema" not in name]
    choice = min(whole + indexes, key=_precedence, default=None)
    if choice is None:
        message = f"{folder} holds no .safetensors or .bin file."
        raise ModelNotFound(message, "Download the model's weights into it.")
    return _shards(folder / choice) if choice in indexes else [folder / choice]


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InkwashError(f"{folder} cannot be read: {error.strerror}.", "Check its permissions.") from None


def _shard_ending(index: str) -> str | None:
    """How the shards end that an index of this name lists; None if it is the name of something else."""
    return next((end for end in _ENDINGS if f"{end}.index." in index and index.endswith(".json")), None)


def _precedence(name: str) -> tuple[bool, bool, bool, bool, str]:
    """Safetensors first, then canonical names, plain before variant, a whole file before shards.

    A variant's name has one part more: model.safetensors and model.fp16.safetensors, model.safetensors.index.json and
    model.safetensors.index.fp16.json.
    """
    index = name.endswith(".json")
    variant = len(name.split(".")) > (4 if index else 2)
    pickled = ".safetensors" not in name
    canonical = name.startswith(("model", "pytorch_model", "diffusion_pytorch_model"))
    return pickled, not canonical, variant, index, name


def _shards(index: Path) -> list[Path]:
    """The files an index names, each in the index's own folder and of the kind the index is for."""
    ending = _shard_ending(index.name) or _ENDINGS[0]
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise damaged(index, 'it has no "weight_map" from tensors to files')
    for name in weight_map.values():
        if set(name) & set("/\\:\0") or not name.endswith(ending):
            raise damaged(index, f"it names {name[:80]!r}, which is no {ending} file beside it")
    return [index.with_name(name) for name in sorted(set(weight_map.values()))]


def read_json(path: Path) -> dict[str, object]:
    """The object in a small JSON file.  Raises DamagedFile if it is anything else."""
    with opened(path) as (file, size):
        if size > MAX_JSON:
            raise damaged(path, f"it is {size} bytes long; more than {MAX_JSON} are not accepted")
        text = file.read(size)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"it is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise damaged(path, "it is not a JSON object")
    return value


def join(folder: Path, parts: Iterable[tuple[str, Header]]) -> Header:
    """One header of all parts, names prefixed.  Raises DamagedFile if two files hold the same tensor."""
    tensors: dict[str, TensorInfo] = {}
    metadata: dict[str, str] = {}
    for prefix, header in parts:
        for name, info in header.tensors.items():
            if prefix + name in tensors:
                raise damaged(header.path, f"it and another file both hold {name}")
            tensors[prefix + name] = info
        metadata.update(header.metadata)
    return Header(folder, tensors, metadata)
