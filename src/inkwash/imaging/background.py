"""Backgrounds made transparent, by the ONNX models that rembg users have: U2-Net, IS-Net, BiRefNet and their kin.

They run in onnxruntime, an extra that is imported when such a model is used; see docs/decisions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from inkwash.checkpoint.places import folders
from inkwash.core.errors import MissingLibrary, ModelNotFound, UnsupportedModel
from inkwash.core.resizing import Size
from inkwash.imaging.named import one_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Triple = tuple[float, float, float]
Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Kind:
    """How a family of models wants its pictures.  logits: what it says is to go through a sigmoid."""

    side: int = 320  # pixels, where the file leaves it open
    mean: Triple = (0.485, 0.456, 0.406)  # ImageNet's
    deviation: Triple = (0.229, 0.224, 0.225)
    logits: bool = False


HALF = Kind(1024, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
KINDS: tuple[tuple[str, Kind], ...] = (("isnet", HALF), ("bria", HALF), ("birefnet", Kind(1024, logits=True)))
"""By a part of the file's name; all others are U2-Net's kin."""


@dataclass(frozen=True, eq=False)
class Cutter:
    """Finds the subject of a picture."""

    kind: Kind
    session: InferenceSession

    def __call__(self, picture: Image.Image) -> Image.Image:
        """RGBA: the picture with its background transparent.  What was transparent before stays so."""
        cut = picture.convert("RGBA")
        cut.putalpha(ImageChops.darker(cut.getchannel("A"), self.mask(picture)))
        return cut

    def mask(self, picture: Image.Image) -> Image.Image:
        """ "L" of the picture's size: white is the subject."""
        given = self.session.get_inputs()[0]
        side = given.shape[-1] if isinstance(given.shape[-1], int) else self.kind.side
        (seen, *_) = self.session.run(None, {given.name: shown(picture, side, self.kind)})
        return as_mask(np.asarray(seen)[0, 0], picture.size, self.kind.logits)


def shown(picture: Image.Image, side: int, kind: Kind) -> Pixels:
    """(1, 3, side, side): stretched to a square, divided by its brightest value, then less the mean."""
    small = picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(small, dtype=np.float64)
    pixels = (pixels / max(float(pixels.max()), 1e-6) - kind.mean) / kind.deviation
    return pixels.astype(np.float32).transpose(2, 0, 1)[None]


def as_mask(seen: NDArray[Any], size: Size, logits: bool) -> Image.Image:
    """(h, w) of any range -> "L" of that size, from black to white."""
    values = 1 / (1 + np.exp(-seen.astype(np.float64))) if logits else seen.astype(np.float64)
    low, high = values.min(), values.max()
    spread = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return Image.fromarray((spread * 255).round().astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)


def cutters(root: Path, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The models in ``root``'s models/rembg, and where rembg itself keeps its own: U2NET_HOME, else ~/.u2net."""
    own = Path(environ["U2NET_HOME"]) if environ.get("U2NET_HOME") else Path.home() / ".u2net"
    places = [*folders(root, "background"), own]
    return [path for place in places if place.is_dir() for path in sorted(place.glob("*.onnx"))]


def find_cutter(root: Path, name: str | None = None) -> Path:
    """The model of that name; None: the first.  Raises ModelNotFound."""
    found = cutters(root)
    if not found:
        raise ModelNotFound(
            f"There is no model that removes backgrounds in {root / 'models' / 'rembg'}.",
            "Put one of rembg's there, such as u2net.onnx or isnet-general-use.onnx.",
        )
    return one_of(found, name, "model for backgrounds")


def load_cutter(path: Path) -> Cutter:
    """Raises MissingLibrary, UnsupportedModel."""
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError:
        raise MissingLibrary(
            f"{path} needs onnxruntime, which is not installed.",
            'Install it with: python -m pip install "inkwash[background]"',
        ) from None
    refusals = (errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf, errors.NoSuchFile,
                errors.NotImplemented, errors.RuntimeException)  # fmt: skip
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except refusals as error:
        message = f"{path} is not a sound ONNX model: {str(error)[:160]}"
        raise UnsupportedModel(message, "Download it again, or use another model.") from None
    ins, outs = session.get_inputs(), session.get_outputs()
    if len(ins) != 1 or len(ins[0].shape) != 4 or len(outs[0].shape) != 4 or outs[0].shape[1] not in (1, None, "1"):
        message = f"{path} does not make one mask of one picture ({len(ins)} inputs, output {outs[0].shape})."
        raise UnsupportedModel(message, "Use u2net.onnx, isnet-general-use.onnx or another model for whole subjects.")
    return Cutter(kind_of(path), session)


def kind_of(path: Path) -> Kind:
    """By the file's name, as rembg has it."""
    return next((kind for part, kind in KINDS if part in path.name.lower()), Kind())
