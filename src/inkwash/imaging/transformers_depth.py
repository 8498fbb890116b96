"""Depth models that transformers reads (Depth Anything, DPT, ZoeDepth, GLPN, ...), where that library is installed.

The only file of the package that imports it, and only when such a model is used; see docs/decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from inkwash.core.errors import MissingLibrary, UnsupportedModel
from inkwash.imaging.depth import DepthEstimator, spread

METRIC = ("zoedepth", "glpn", "depth_pro")
"""Kinds whose numbers are metres, so that near is small."""


@dataclass(frozen=True, eq=False)
class Transformers:
    """A model and the processor that goes with it."""

    name: str
    processor: Any
    network: Any
    device: torch.device

    @torch.inference_mode()
    def __call__(self, picture: Image.Image) -> Image.Image:
        inputs = self.processor(images=picture.convert("RGB"), return_tensors="pt").to(self.device)
        depth = self.network(**inputs).predicted_depth[0].float()
        return spread(1 / depth.clamp(min=1e-3) if is_metric(self.network.config) else depth, picture.size)


def is_metric(config: Any) -> bool:
    """Whether a model's numbers are distances rather than their inverse."""
    return config.model_type in METRIC or getattr(config, "depth_estimation_type", "relative") == "metric"


def load_transformers(folder: Path, device: torch.device) -> DepthEstimator:
    """Nothing is fetched, no code of the folder is run, and weights are safetensors only.

    Raises MissingLibrary, UnsupportedModel.
    """
    try:
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation
    except ImportError:
        raise MissingLibrary(
            f"{folder} is a depth model for transformers, which is not installed.",
            'Install it with: python -m pip install "inkwash[depth]"  Or use dpt_hybrid-midas, which needs nothing.',
        ) from None
    processors: Any = AutoImageProcessor
    models: Any = AutoModelForDepthEstimation
    offline = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = processors.from_pretrained(folder, backend="pil", **offline)  # torchvision is not needed
        network = models.from_pretrained(folder, use_safetensors=True, **offline)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UnsupportedModel(
            f"{folder} cannot be read as a depth model: {reason}",
            "It needs config.json, preprocessor_config.json and model.safetensors.",
        ) from None
    return Transformers(folder.name, processor, network.to(device).eval(), device)
