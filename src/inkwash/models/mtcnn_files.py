"""MTCNN's weights: three files in the package facenet-pytorch, which is installed for them and never imported."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from inkwash.checkpoint.files import read
from inkwash.core.errors import DamagedFile, MissingLibrary
from inkwash.models.mtcnn import MTCNN

PACKAGE = "facenet_pytorch"
INSTALL = "pip install --no-deps facenet-pytorch"
PARTS = ("pnet", "rnet", "onet")


def weights_folder() -> Path:
    """Where the files lie.  The package is located, not run.  Raises MissingLibrary."""
    found = importlib.util.find_spec(PACKAGE)
    for place in found.submodule_search_locations or () if found else ():
        folder = Path(place) / "data"
        if all((folder / f"{part}.pt").is_file() for part in PARTS):
            return folder
    raise MissingLibrary(
        "Faces cannot be found: the weights for it, which the package facenet-pytorch carries, are not installed.",
        f"Install it into the same environment: {INSTALL}",
    )


@cache
def load_mtcnn() -> MTCNN:
    """In float32 on the CPU: 0.5 million weights, which find the same faces on every machine.

    Raises MissingLibrary, DamagedFile.
    """
    folder, network = weights_folder(), MTCNN()
    for part in PARTS:
        path = folder / f"{part}.pt"
        weights = read(path)
        wanted = {name: tuple(tensor.shape) for name, tensor in getattr(network, part).state_dict().items()}
        if {name: tuple(tensor.shape) for name, tensor in weights.items()} != wanted:
            raise DamagedFile(f"{path} does not hold the weights it should.", f"Install it again: {INSTALL}")
        getattr(network, part).load_state_dict(weights)
    return network.eval().requires_grad_(False)
