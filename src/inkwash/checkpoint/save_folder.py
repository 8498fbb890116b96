"""Writing a model as a diffusers folder: one file and one config a network."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from inkwash.checkpoint.files import Source
from inkwash.checkpoint.folder_configs import configs
from inkwash.checkpoint.match import check_keys, model_weights
from inkwash.checkpoint.plan import Plan, Reader, cast, file_dtype
from inkwash.checkpoint.spec import ModelSpec
from inkwash.core import files
from inkwash.core.errors import InvalidRequest, UnsupportedModel
from inkwash.prompt.tokenizer import vocabulary_files

if TYPE_CHECKING:
    import torch

_FILES = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}


def check_folder_possible(spec: ModelSpec, folder: Path) -> None:
    """Raises UnsupportedModel for families whose folders are not written yet, InvalidRequest if ``folder`` is there."""
    if spec.family != "sd1":
        message = f"{spec.path} is of the family {spec.family}; folders are written of Stable Diffusion 1.x only."
        raise UnsupportedModel(message, "Convert it to a .safetensors file.")
    if folder.exists():
        raise InvalidRequest(f"{folder} exists already.", "Choose the name of a new folder.")


def save_folder(
    folder: Path,
    source: Source,
    spec: ModelSpec,
    dtype: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Writes ``folder``, whole or not at all.  dtype: of the weights; None: as stored."""
    check_folder_possible(spec, folder)
    files.check_folder(folder.parent)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".", suffix=".part"))
    try:
        for name, text in {**configs(spec), **_tokenizer()}.items():
            files.write(temporary / name, text.encode())
        _write_weights(temporary, source, spec, file_dtype(dtype), progress)
        temporary.chmod(0o777 & ~files.umask())
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_weights(
    folder: Path, source: Source, spec: ModelSpec, dtype: str | None, progress: Callable[[int, int], None]
) -> None:
    """Weights are views on the source's file until their turn comes, and are let go of when the next one's comes."""
    keys, views = check_keys(spec, source.header).found, dict(model_weights(source, spec))
    read = Reader(source)
    done = 0
    for component, stem in _FILES.items():
        names = {name.removeprefix(f"{component}."): name for name in views if name.startswith(f"{component}.")}

        def kind(short: str, names: Mapping[str, str] = names) -> str:
            return dtype or source.header.tensors[keys[names[short]]].dtype

        def make(short: str, names: Mapping[str, str] = names) -> torch.Tensor:
            read(keys[names[short]])
            return cast(names[short], views[names[short]], kind(short, names))

        plan = Plan({short: (kind(short), tuple(views[names[short]].shape)) for short in names}, make, {"format": "pt"})
        plan.write(
            folder / component / f"{stem}.safetensors", lambda some, _, before=done: progress(before + some, len(views))
        )
        done += len(names)


def _tokenizer() -> dict[str, str]:
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    special["pad_token"] = "<|endoftext|>"
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, **special}
    texts = {
        **vocabulary_files(),
        "tokenizer_config.json": json.dumps(config, indent=2),
        "special_tokens_map.json": json.dumps(special, indent=2),
    }
    return {f"tokenizer/{name}": text for name, text in texts.items()}
