"""Writing models in the LDM single-file layout that every Stable Diffusion program reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from inkwash.checkpoint.files import write
from inkwash.checkpoint.keys import ldm_shape, ldm_to_diffusers
from inkwash.checkpoint.openclip import join
from inkwash.checkpoint.parameters import parameters
from inkwash.checkpoint.spec import ModelSpec

if TYPE_CHECKING:
    import torch

PREDICTION_WORDS = {"eps": "epsilon", "v": "v", "x0": "sample"}


def save_ldm(
    path: str | Path, tensors: Mapping[str, torch.Tensor], spec: ModelSpec, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a model as one LDM .safetensors file, whole or not at all.

    tensors: by diffusers name, with "unet.", "vae.", "text_encoder." or "text_encoder_2.", in their stored dtypes;
    exactly the weights of ``spec``, else ValueError.  What shapes cannot tell of ``spec`` goes into the metadata unless
    it is given there, and into the empty marker tensors that other programs look for.
    """
    names = parameters(spec)
    if set(tensors) != set(names):
        different = sorted(set(tensors) ^ set(names))
        raise ValueError(f"{len(different)} tensors are missing or not of this model, such as {different[0]}")
    write(path, _LdmView(tensors, ldm_to_diffusers(spec), _markers(spec)), _described(spec) | dict(metadata or {}))


def _described(spec: ModelSpec) -> dict[str, str]:
    described = {"modelspec.prediction_type": PREDICTION_WORDS[spec.prediction]}
    if spec.family == "sd2":
        described["inkwash.text_layers"] = str(spec.texts[0].layers)  # the unused last layer is not written
    return described


def _markers(spec: ModelSpec) -> tuple[str, ...]:
    velocity = spec.family == "sdxl" and spec.prediction == "v"
    return ("v_pred",) * velocity + ("ztsnr",) * spec.noise.zero_snr


class _LdmView(Mapping[str, "torch.Tensor"]):
    """The same tensors under LDM names and in LDM shapes, one at a time."""

    def __init__(
        self, tensors: Mapping[str, torch.Tensor], names: Mapping[str, tuple[str, ...]], markers: tuple[str, ...]
    ) -> None:
        self._tensors = tensors
        self._names = {**names, **dict.fromkeys(markers, ())}  # LDM -> diffusers

    def __getitem__(self, ldm: str) -> torch.Tensor:
        held = [self._tensors[name] for name in self._names[ldm]]
        if not held:
            import torch

            return torch.empty(0)
        shape = ldm_shape(ldm, tuple(held[0].shape))
        return join(ldm, held).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
