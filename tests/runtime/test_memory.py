"""Running out of memory is recognised in all its forms and told in words."""

from __future__ import annotations

import psutil
import pytest
import torch

from inkwash.core.errors import OutOfMemory
from inkwash.core.estimates import autoencoder_memory, unet_memory
from inkwash.core.request import GenerateRequest
from inkwash.runtime.memory import available_memory, check_memory, memory_errors, out_of_memory, refusal

BIG = GenerateRequest(width=2048, height=1024, batch_size=4)


def test_a_real_refusal_of_the_allocator_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_recognised(error: Exception) -> None:
    assert out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shape '[2]' is invalid"), ValueError("bad_alloc"), KeyError("memory")])
def test_other_errors_pass_as_they_are(error: Exception) -> None:
    assert not out_of_memory(error)
    with pytest.raises(type(error)) as caught, memory_errors(BIG):
        raise error
    assert caught.value is error


def test_the_words_name_the_size_and_what_to_try() -> None:
    with pytest.raises(OutOfMemory) as caught, memory_errors(BIG):
        torch.empty(2**60, dtype=torch.uint8)
    assert "4 pictures" in caught.value.message
    assert "2048x1024" in caught.value.message
    assert "batch size of 1" in caught.value.remedy
    assert "512x512" in caught.value.remedy
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_advice_that_is_already_followed_is_not_given() -> None:
    error = refusal(GenerateRequest(width=256, height=256), free=2_000_000_000)
    assert "2.0 GB" in error.message
    assert "batch" not in error.remedy
    assert "512x512" not in error.remedy


def test_available_memory_lies_between_nothing_and_a_petabyte() -> None:
    assert 0 < available_memory(torch.device("cpu")) < 10**15


@pytest.mark.parametrize(
    ("size", "dtype", "measured"),
    [
        (256, torch.bfloat16, 0.124e9),
        (512, torch.bfloat16, 0.410e9),
        (256, torch.float32, 0.275e9),
        (512, torch.float32, 0.812e9),
    ],
)
def test_the_estimate_is_near_what_was_measured(size: int, dtype: torch.dtype, measured: float) -> None:
    """Peak resident memory of an SD1.5-size decoder, less what it held before (see docs/decisions)."""
    assert autoencoder_memory(size * size, dtype, width=128) == pytest.approx(measured, rel=1 / 3)


def test_a_limit_is_for_the_whole_process() -> None:
    cpu, held = torch.device("cpu"), psutil.Process().memory_info().rss
    assert available_memory(cpu, limit=held // 2) == 0
    assert 0 < available_memory(cpu, limit=held + 10**9) < 2 * 10**9
    assert available_memory(cpu, limit=10**18) <= available_memory(cpu) * 1.1


def test_an_impossible_size_is_refused_before_trying() -> None:
    huge = GenerateRequest(width=100_000, height=100_000)
    needed = unet_memory(100_000 * 100_000, 1, torch.bfloat16, 320)
    with pytest.raises(OutOfMemory, match="100000x100000 needs about"):
        check_memory(huge, needed, torch.device("cpu"))
    check_memory(huge, 1, torch.device("cpu"))
