"""Writing models in the LDM single-file layout that every Stable Diffusion program reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from inkwash.checkpoint.files import write
from inkwash.checkpoint.keys import diffusers_to_ldm, ldm_shape
from inkwash.checkpoint.spec import ModelSpec

if TYPE_CHECKING:
    import torch


def save_ldm(
    path: str | Path, tensors: Mapping[str, torch.Tensor], spec: ModelSpec, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a model as one LDM .safetensors file, whole or not at all.

    tensors: by diffusers name, with "unet.", "vae." or "text_encoder.", in their stored dtypes; exactly the weights of
    ``spec``, else ValueError.  ``spec.prediction`` goes into the metadata unless it is given there.
    """
    names = diffusers_to_ldm(spec)
    if set(tensors) != set(names):
        different = sorted(set(tensors) ^ set(names))
        raise ValueError(f"{len(different)} tensors are missing or not of this model, such as {different[0]}")
    types = {"eps": "epsilon", "v": "v", "x0": "sample"}
    described = {"modelspec.prediction_type": types[spec.prediction], **(metadata or {})}
    write(path, _LdmView(tensors, {ldm: name for name, ldm in names.items()}), described)


class _LdmView(Mapping[str, "torch.Tensor"]):
    """The same tensors under LDM names and in LDM shapes, one at a time."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], names: Mapping[str, str]) -> None:
        self._tensors = tensors
        self._names = names  # LDM -> diffusers

    def __getitem__(self, ldm: str) -> torch.Tensor:
        tensor = self._tensors[self._names[ldm]]
        return tensor.reshape(ldm_shape(ldm, tuple(tensor.shape)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
