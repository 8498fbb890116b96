"""How much memory there is, and running out of it told in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from inkwash.core.errors import OutOfMemory
from inkwash.core.request import GenerateRequest

CPU_SIGNS = ("DefaultCPUAllocator", "bad_alloc", "not enough memory", "can't allocate memory", "Cannot allocate memory")
"""Words in the RuntimeErrors that PyTorch and oneDNN raise when the operating system refuses memory."""

SMALL = 512
"""Pixels a side below which a smaller picture is no longer the advice."""


def out_of_memory(error: BaseException) -> bool:
    """Whether this is any of the ways in which Python, PyTorch or CUDA say that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in CPU_SIGNS)


def available_memory(device: torch.device, limit: int | None = None) -> int:
    """Bytes that can still be taken: on a GPU its free memory; else what the system can give without swapping.

    limit: bytes that this process may have in all, on the device it computes on.
    """
    cuda = device.type == "cuda"
    free = int(torch.cuda.mem_get_info(device)[0] if cuda else psutil.virtual_memory().available)
    if limit is None:
        return free
    held = torch.cuda.memory_allocated(device) if cuda else psutil.Process().memory_info().rss
    return max(0, min(free, limit - int(held)))


def weights_budget(device: torch.device, gigabytes: float) -> int:
    """Bytes that the weights of kept models may take: the gigabytes told, or for 0 half of what the device has."""
    if gigabytes:
        return int(gigabytes * 1e9)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1]) // 2
    return int(psutil.virtual_memory().total) // 2


def check_memory(request: GenerateRequest, needed: int, device: torch.device, limit: int | None = None) -> None:
    """Refuse a request before trying it when it needs more bytes than there are.  Raises OutOfMemory."""
    free = available_memory(device, limit)
    if needed > free:
        raise refusal(request, free, needed)


@contextmanager
def memory_errors(request: GenerateRequest, device: torch.device | None = None) -> Iterator[None]:
    """Turn running out of memory into OutOfMemory, which says what was asked, what was free and what to try."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        where = device or torch.device("cuda" if isinstance(error, torch.OutOfMemoryError) else "cpu")
        raise refusal(request, available_memory(where)) from error


def refusal(request: GenerateRequest, free: int, needed: int | None = None) -> OutOfMemory:
    """The error for a request that does not fit.  free, needed: bytes."""
    size = f"{request.width}x{request.height}" if request.width and request.height else "this size"
    need = f" needs about {_gigabytes(needed)};" if needed else " ran out of memory;"
    message = f"{_pictures(request.batch_size)} of {size}{need} {_gigabytes(free)} are free."
    return OutOfMemory(message, f"Try {' or '.join(_advice(request))}, or close other programs.")


def _advice(request: GenerateRequest) -> list[str]:
    advice = ["a batch size of 1"] if request.batch_size > 1 else []
    if max(request.width or 0, request.height or 0) > SMALL:
        advice.append(f"a smaller picture such as {SMALL}x{SMALL}")
    return advice or ["a smaller picture or model"]


def _pictures(count: int) -> str:
    return "A picture" if count == 1 else f"{count} pictures side by side"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
