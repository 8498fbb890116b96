"""Writing a model as a diffusers folder: one file and one config a network."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
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
    plans = {component: _plan(component, source, spec, dtype) for component in _FILES}
    total, done = sum(len(plan.tensors) for plan in plans.values()), 0

    def tell(some: int, of: int) -> None:
        progress(done + some, total)

    for component, plan in plans.items():
        plan.write(folder / component / f"{_FILES[component]}.safetensors", tell)
        done += len(plan.tensors)


def _plan(component: str, source: Source, spec: ModelSpec, dtype: str | None) -> Plan:
    """The file of one network.  Weights are views on the source's file, let go of when the next one's turn comes."""
    keys, prefix = check_keys(spec, source.header).found, f"{component}."
    views = {name: view for name, view in model_weights(source, spec) if name.startswith(prefix)}
    kinds = {name: dtype or source.header.tensors[keys[name]].dtype for name in views}
    read = Reader(source)

    def make(short: str) -> torch.Tensor:
        name = prefix + short
        read(keys[name])
        return cast(name, views[name], kinds[name])

    shapes = {name.removeprefix(prefix): (kinds[name], tuple(view.shape)) for name, view in views.items()}
    return Plan(shapes, make, {"format": "pt"})


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
