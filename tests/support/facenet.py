"""facenet-pytorch's own networks and detection, the independent reference for ours.

The package wants torchvision for greedy non-maximum suppression, which is written out here, and its __init__ imports
what only its recognition needs; so its two modules are loaded by themselves.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inkwash.models.mtcnn_files import weights_folder

STUBS = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.ops",
         "torchvision.ops.boxes")  # fmt: skip


@cache
def facenet() -> Any:
    """The module ``facenet_pytorch.models.mtcnn``."""
    home = weights_folder().parent
    stubs = {name: ModuleType(name) for name in STUBS}
    for name, stub in stubs.items():
        outer, _, inner = name.rpartition(".")
        if outer:
            setattr(stubs[outer], inner, stub)
    stubs["torchvision.ops.boxes"].__dict__["batched_nms"] = nms
    package, models = ModuleType("facenet_pytorch"), ModuleType("facenet_pytorch.models")
    package.__path__, models.__path__ = [str(home)], [str(home / "models")]
    own = {"facenet_pytorch": package, "facenet_pytorch.models": models}
    before = {name: sys.modules.get(name) for name in (*stubs, *own)}
    sys.modules.update({**stubs, **own})
    try:
        return importlib.import_module("facenet_pytorch.models.mtcnn")
    finally:
        for name, module in before.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


def nms(boxes: Tensor, scores: Tensor, pictures: Tensor, threshold: float) -> Tensor:
    """torchvision's of one picture, pair by pair as its documentation has it."""
    corners, order = boxes.double().numpy(), np.argsort(-scores.numpy(), kind="stable").tolist()
    kept: list[int] = []
    for one in order:
        if all(_overlap(corners[one], corners[other]) <= threshold for other in kept):
            kept.append(one)
    return torch.tensor(kept, dtype=torch.long)


def _overlap(a: Any, b: Any) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return float(both / (sum(areas) - both))
