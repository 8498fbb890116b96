"""Depth maps out of pictures: by the model a checkpoint carries, or by one from models/depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from inkwash.checkpoint.places import SUFFIXES, folders
from inkwash.checkpoint.spec import ModelSpec
from inkwash.core.errors import ModelNotFound
from inkwash.core.resizing import Size
from inkwash.imaging.named import one_of
from inkwash.models.dpt import DPT, MULTIPLE
from inkwash.models.dpt_files import is_dpt_hybrid, load_dpt
from inkwash.runtime.device import Compute

SIDE, LONGEST = 384, 1536
"""Pixels of the shorter side that DPT-hybrid is shown, and the most of the longer one."""


class DepthEstimator(Protocol):
    """Something that sees how far away things are; always the same map of the same picture."""

    @property
    def name(self) -> str: ...

    def __call__(self, picture: Image.Image) -> Image.Image:
        """picture: RGB.  Returns inverse depth as mode "F" of its size, from 0 (farthest) to 255 (nearest)."""
        ...


@dataclass(frozen=True, eq=False)
class Midas:
    """DPT-hybrid, as SD 2's depth checkpoint carries it."""

    name: str
    network: DPT
    device: torch.device

    @torch.inference_mode()
    def __call__(self, picture: Image.Image) -> Image.Image:
        small = picture.convert("RGB").resize(shown_size(picture.size), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(small, dtype=np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
        return spread(self.network(pixels.to(self.device))[0], picture.size)


def shown_size(size: Size) -> Size:
    """The picture's proportions with a shorter side of 384, in multiples of 32."""
    scale = min(SIDE / min(size), LONGEST / max(size))
    width, height = (max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in size)
    return width, height


def spread(depth: Tensor, size: Size) -> Image.Image:
    """(h, w) of any range, large is near -> mode "F" of that size, from 0 to 255; a flat map is black."""
    whole = F.interpolate(depth[None, None].float(), size=size[::-1], mode="bicubic", align_corners=False)[0, 0]
    low, high = whole.min(), whole.max()
    stretched = (whole - low) / (high - low) * 255 if high > low else torch.zeros_like(whole)
    return Image.fromarray(stretched.cpu().numpy())


def own_estimator(spec: ModelSpec) -> Path | None:
    """Where the depth model is that a checkpoint carries; None if it has none."""
    if spec.depth_model:
        return spec.path
    beside = spec.path / "depth_estimator"
    return beside if beside.is_dir() else None


def estimators(root: Path) -> list[Path]:
    """The depth models in ``root``'s models/depth (or MiDaS's folder): files, and folders of transformers'."""
    return sorted(path for folder in folders(root, "depth") for path in _models(folder))


def _models(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.lower().endswith(SUFFIXES) or (path / "config.json").is_file():
            yield path


def find_estimator(root: Path, name: str | None = None) -> Path:
    """The depth model of that name, with or without its ending; None: the first.  Raises ModelNotFound."""
    found = estimators(root)
    if not found:
        raise ModelNotFound(
            f"There is no depth model in {root / 'models' / 'depth'}.",
            "Put dpt_hybrid-midas-501f0c75.pt there, or the folder of a depth model for transformers.",
        )
    return one_of(found, name, "depth model")


def load_estimator(path: Path, compute: Compute) -> DepthEstimator:
    """Raises UnsupportedModel, DamagedFile, or MissingLibrary for what only transformers can read."""
    if path.is_dir() and not is_dpt_hybrid(path):
        from inkwash.imaging.transformers_depth import load_transformers

        return load_transformers(path, compute.device)
    network = load_dpt(path, Compute(compute.device, torch.float32, compute.capabilities))
    return Midas(path.stem, network, compute.device)
