"""Writing any model as one .safetensors file: a folder in LDM names, a file as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from inkwash.checkpoint.convert import save_ldm
from inkwash.checkpoint.files import Source
from inkwash.checkpoint.match import check_keys, model_weights
from inkwash.checkpoint.plan import Reader, cast, file_dtype
from inkwash.checkpoint.spec import ModelSpec

if TYPE_CHECKING:
    import torch


def save_folder_as_file(path: Path, source: Source, spec: ModelSpec, dtype: str | None = None) -> None:
    """The diffusers folder that ``source`` reads as an LDM file.  dtype: of the weights; None: as stored."""
    save_ldm(path, _Weights(source, spec, file_dtype(dtype)), spec, source.header.metadata)


class _Weights(Mapping[str, "torch.Tensor"]):
    """A model's weights by diffusers name, cast when they are asked for and let go of when the next one is."""

    def __init__(self, source: Source, spec: ModelSpec, dtype: str | None) -> None:
        self._keys = check_keys(spec, source.header).found
        self._views = dict(model_weights(source, spec))
        self._read, self._dtype = Reader(source), dtype

    def __getitem__(self, name: str) -> torch.Tensor:
        self._read(self._keys[name])
        view = self._views[name]
        return cast(name, view, self._dtype) if self._dtype else view

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)
