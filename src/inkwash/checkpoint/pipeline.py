"""Writing models as diffusers pipelines: a folder a network, with the configs diffusers builds it from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkwash.checkpoint.families import FAMILIES
from inkwash.checkpoint.pipeline_configs import configs, tokenizer_of
from inkwash.checkpoint.plan import Plan
from inkwash.checkpoint.spec import ModelSpec
from inkwash.checkpoint.weights import check_exact, held_weights
from inkwash.core import files
from inkwash.prompt.tokenizer import load as load_tokenizer

if TYPE_CHECKING:
    import torch

_WEIGHTS = dict.fromkeys(("unet", "vae"), "diffusion_pytorch_model.safetensors")  # transformers has another name


@dataclass(frozen=True, kw_only=True)
class FolderPlan(Plan):
    """A diffusers folder to be.  The metadata goes into the U-Net's file: there a conversion back finds it."""

    spec: ModelSpec

    def write(
        self, path: Path, progress: Callable[[int, int], None] = lambda done, total: None, *, new: bool = True
    ) -> None:
        """Writes the folder, which must not exist, whole or not at all.  Raises CannotWrite."""
        places, done = FAMILIES[self.spec.family].texts, 0

        def tell(some: int, of: int) -> None:
            progress(done + some, len(self.tensors))

        with files.new_folder(path) as building:
            for place in places:
                _write_vocabulary(building / tokenizer_of(place))
            for name, value in configs(self.spec).items():
                _write_json(building / name, value)
            for component in ("unet", "vae", *(place.component for place in places)):
                part = self._part(component)
                part.write(building / component / _WEIGHTS.get(component, "model.safetensors"), tell)
                done += len(part.tensors)

    def _part(self, component: str) -> Plan:
        """The file of one network."""
        prefix = f"{component}."
        tensors = {name.removeprefix(prefix): it for name, it in self.tensors.items() if name.startswith(prefix)}
        metadata = self.metadata if component == "unet" else {}
        return Plan(tensors, lambda name: self.make(prefix + name), {**metadata, "format": "pt"})


def diffusers_folder(weights: Plan, spec: ModelSpec) -> FolderPlan:
    """The plan of a model's folder.  ValueError unless ``weights`` are exactly those of ``spec``."""
    check_exact(weights, spec)
    return FolderPlan(weights.tensors, weights.make, weights.metadata, weights.dropped, weights.notes, spec=spec)


def save_diffusers(folder: str | Path, tensors: Mapping[str, torch.Tensor], spec: ModelSpec) -> None:
    """Writes tensors in memory as a diffusers pipeline, by the rules of ``save_ldm``, into a folder of a free name."""
    diffusers_folder(held_weights(tensors), spec).write(Path(folder))


def _write_vocabulary(folder: Path) -> None:
    files.make_folder(folder)
    load_tokenizer().save(folder)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    files.make_folder(path.parent)
    files.write(path, json.dumps(value, indent=2).encode())
