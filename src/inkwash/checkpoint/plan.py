"""What an operation will write, told before anything is written; then carried out one tensor at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from inkwash.checkpoint.files import TORCH_NAMES, Source, write_computed
from inkwash.checkpoint.header import DTYPE_BITS
from inkwash.checkpoint.match import WEIGHT_DTYPES
from inkwash.core.errors import InkwashError, InvalidRequest, UnsupportedModel

if TYPE_CHECKING:
    import torch

DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}  # that weights may be written in
WRITABLE = set(TORCH_NAMES) - {"F4"}  # of that one PyTorch counts pairs
# Tables of the noise schedule and the like keep their dtype: a half-precision table would change every picture.
_TABLES = re.compile(
    r"(low_scale_model\.)?(betas|alphas_cumprod\w*|sqrt_\w+|log_one_minus_\w+|posterior_\w+|lvlb_weights|logvar|scale_factor"
    r"|denoiser\.sigmas|.*\.position_ids|model_ema\.(decay|num_updates))$"
)


@dataclass(frozen=True)
class Plan:
    """One safetensors file to be.  ``make``: a tensor by its name in the new file; see ``write_computed``."""

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]  # name -> dtype as in the file ("F16"), shape
    make: Callable[[str], torch.Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)  # what is left out, in words -> bytes
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors; the file's header comes on top."""
        return sum(prod(shape) * DTYPE_BITS[dtype] // 8 for dtype, shape in self.tensors.values())

    def write(
        self, path: Path, progress: Callable[[int, int], None] = lambda done, total: None, *, new: bool = False
    ) -> None:
        """Writes the file, whole or not at all.  progress: tensors done, tensors in all.  new: the name must be free.

        What ``progress`` raises ends it, and nothing is left.
        """
        import torch

        for name, (dtype, _) in self.tensors.items():
            if dtype not in WRITABLE:
                message = f"The tensor {name} has the dtype {dtype}, which cannot be written."
                raise UnsupportedModel(message, "Use a version of the model in float32, float16 or bfloat16.")
        layout = {name: (getattr(torch, TORCH_NAMES[dtype]), shape) for name, (dtype, shape) in self.tensors.items()}
        done = 0

        def compute(name: str) -> torch.Tensor:
            nonlocal done
            progress(done, len(layout))
            done += 1
            return self.make(name)

        write_computed(path, layout, compute, self.metadata, new=new)
        progress(done, len(layout))


class Reader:
    """Reads one tensor after another and lets go of each one's pages when the next is asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._last: str | None = None

    def __call__(self, key: str) -> torch.Tensor:
        if self._last is not None and self._last != key:
            self.source.release(self._last)
        self._last = key
        return self.source.tensor(key)


def file_dtype(name: str | None) -> str | None:
    """ "F16" for "float16".  Raises InvalidRequest for what weights are not written in."""
    if name is None:
        return None
    if name not in DTYPES:
        raise InvalidRequest(f"dtype is {name!r}; weights are written in {', '.join(DTYPES)}.", "Choose one of these.")
    return DTYPES[name]


def written_dtype(name: str, stored: str, wanted: str | None) -> str:
    """The dtype, as in files, in which a tensor of a file is written again.  wanted: of weights; None: as stored."""
    return wanted if wanted and stored in WEIGHT_DTYPES and not _TABLES.match(name) else stored


def cast(name: str, tensor: torch.Tensor, dtype: str) -> torch.Tensor:
    """The tensor in that dtype.  Raises InkwashError if a number that was finite is too large for it."""
    import torch

    wanted: torch.dtype = getattr(torch, TORCH_NAMES[dtype])
    placed = tensor.to(wanted)
    narrower = wanted == torch.float16 and tensor.dtype != wanted
    if narrower and not bool(placed.isfinite().all()) and bool(tensor.isfinite().all()):
        message = f"The weight {name} holds numbers above 65504, which float16 cannot."
        raise InkwashError(message, "Write it in bfloat16 or float32.")
    return placed
