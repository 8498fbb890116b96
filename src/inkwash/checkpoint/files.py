"""Reading and writing weights: safetensors files, pickled checkpoints and diffusers folders, mapped, not loaded."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from inkwash.checkpoint.folder import component_files, join
from inkwash.checkpoint.header import MAX_HEADER, Header, TensorInfo, parse_header, read_file_header
from inkwash.checkpoint.pickles.cache import converted, is_pickle
from inkwash.checkpoint.regular import opened
from inkwash.core.errors import UnsupportedModel
from inkwash.core.files import creating, replacing

if TYPE_CHECKING:
    import torch

TORCH_NAMES = {  # F6_E2M3 and F6_E3M2 have no counterpart in PyTorch
    **{"BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32"},
    **{"U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"},
    **{"C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu"},
    **{"F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz", "F4": "float4_e2m1fn_x2"},
}


class Source:
    """A checkpoint open for reading: its header at once, its tensors one at a time.

    Tensors are views on the mapped file: memory is the file's own cached pages, and writing to a tensor changes a
    private copy.  They stay valid after ``close``.  While they live the file may be replaced by rename, as ``write``
    does, but must not be overwritten in place.
    """

    def __init__(self, header: Header, maps: Mapping[Path, mmap.mmap]) -> None:
        self.header = header
        self._maps = dict(maps)

    def tensor(self, name: str) -> torch.Tensor:
        """The tensor called ``name`` in ``header.tensors``, on the CPU.  Raises UnsupportedModel for exotic dtypes."""
        info = self.header.tensors[name]
        return _view(self._maps[info.path], info, name)

    def release(self, name: str) -> None:
        """Hand the memory of a tensor's pages back to the system; who still looks at them reads the file again.

        For a reader who converts one tensor after another: without it a whole model stays resident beside its copy.
        """
        info = self.header.tensors[name]
        start, end = -(-info.offset // mmap.PAGESIZE) * mmap.PAGESIZE, info.offset + info.nbytes
        if start < end and hasattr(mmap, "MADV_DONTNEED"):  # Windows has no such call
            self._maps[info.path].madvise(mmap.MADV_DONTNEED, start, end - start)

    def close(self) -> None:
        """Lets go of the files; each is unmapped with the last tensor that views it."""
        self._maps.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_source(path: str | Path) -> Source:
    """Opens a file, a diffusers pipeline folder or one component's folder; all headers are validated.

    Of a pickled checkpoint (.ckpt, .pt, .bin) the tensors are first copied into a safetensors file in the cache, once.
    """
    path = Path(path)
    if not os.path.isdir(path):  # Path.is_dir would raise for a name that is too long
        header, file, mapped = _open_file(path)
        return Source(header, {file: mapped})
    parts = [(prefix, *_open_file(file)) for prefix, file in component_files(path)]
    header = join(path, ((prefix, header) for prefix, header, _, _ in parts))
    return Source(header, {file: mapped for _, _, file, mapped in parts})


def read_header(path: str | Path) -> Header:
    """What ``open_source(path).header`` would be, without mapping anything."""
    path = Path(path)
    if not os.path.isdir(path):
        return _header(path)
    return join(path, ((prefix, _header(file)) for prefix, file in component_files(path)))


def read(path: str | Path) -> dict[str, torch.Tensor]:
    """All tensors of a file or folder, by their names in it (a folder's prefixed "unet.", "vae.", "text_encoder.").

    Raises an InkwashError that names the file, the reason and the remedy; see ``Source`` for the tensors' memory.
    """
    with open_source(path) as source:
        return {name: source.tensor(name) for name in source.header.tensors}


def _header(path: Path) -> Header:
    return replace(read_file_header(_safetensors(path)), path=path)


def _open_file(path: Path) -> tuple[Header, Path, mmap.mmap]:
    """The header of ``path``, the safetensors file that holds its tensors, and that file mapped."""
    holder = _safetensors(path)
    with opened(holder) as (file, size):
        header = parse_header(holder, file, size)
        # Copy on write: PyTorch wants writable memory, and the file must not change.
        return replace(header, path=path), holder, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)


def _safetensors(path: Path) -> Path:
    """``path`` itself, or what a pickled checkpoint was rewritten to."""
    return converted(path) if is_pickle(path) else path


def _view(mapped: mmap.mmap, info: TensorInfo, name: str) -> torch.Tensor:
    import torch

    shape, dtype_name = list(info.shape), TORCH_NAMES.get(info.dtype)
    if info.dtype == "F4" and shape:
        shape[-1] //= 2  # PyTorch counts pairs
    if dtype_name is None or (info.dtype == "F4" and (not info.shape or info.shape[-1] % 2)):
        message = f"Tensor {name} of {info.path} has the dtype {info.dtype}, which PyTorch cannot hold."
        raise UnsupportedModel(message, "Use a version of the model in float32, float16 or bfloat16.")
    dtype: torch.dtype = getattr(torch, dtype_name)
    if info.nbytes == 0:
        return torch.empty(shape, dtype=dtype)
    data = torch.frombuffer(mapped, dtype=torch.uint8, count=info.nbytes, offset=info.offset)
    if info.offset % dtype.itemsize:
        data = data.clone()  # headers of old files are not padded; kernels expect aligned numbers
    return data.view(dtype).reshape(shape)


def write(path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors file, whole or not at all.  ``tensors`` is asked for each twice; see ``write_computed``."""
    layout = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
    write_computed(path, layout, tensors.__getitem__, metadata)


def write_computed(
    path: str | Path,
    layout: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    compute: Callable[[str], torch.Tensor],
    metadata: Mapping[str, str] | None = None,
    *,
    new: bool = False,
) -> None:
    """Writes a safetensors file whose tensors are made one at a time, each when its turn comes.

    layout: dtype and shape by name, which ``compute`` must keep to, else ValueError.  new: the name must be free.
    """
    order = sorted(layout, key=lambda name: (-layout[name][0].itemsize, name))  # wide first, so that all are aligned
    description: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in order:
        dtype, shape = layout[name]
        start, end = end, end + prod(shape) * dtype.itemsize
        description[name] = {"dtype": dtype_name(dtype), "shape": list(shape), "data_offsets": [start, end]}
    header = json.dumps(description, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > MAX_HEADER:
        raise ValueError(f"a header of {len(header)} bytes; the format allows {MAX_HEADER}")
    with (creating if new else replacing)(Path(path)) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name in order:
            tensor = compute(name)
            if (tensor.dtype, tuple(tensor.shape)) != layout[name]:
                raise ValueError(f"{name} was planned as {layout[name]} and is {tensor.dtype}, {list(tensor.shape)}")
            file.write(_bytes(tensor))


def dtype_name(dtype: torch.dtype) -> str:
    """ "F16" for torch.float16.  Raises ValueError for what safetensors has no name for."""
    torch_name = str(dtype).removeprefix("torch.")
    for name, candidate in TORCH_NAMES.items():
        if candidate == torch_name and name != "F4":
            return name
    raise ValueError(f"safetensors has no dtype for {dtype}")


def _bytes(tensor: torch.Tensor) -> memoryview:
    import torch

    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy().data)


__all__ = ["Source", "open_source", "read", "read_header", "write"]
