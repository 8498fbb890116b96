"""Which device and dtype are chosen, on machines described by hand."""

from __future__ import annotations

import pytest
import torch

from inkwash.core.errors import InvalidRequest
from inkwash.runtime.device import Machine, choose, this_machine

PLAIN = Machine(frozenset({"avx2"}), cuda_devices=0, mps=False)
BF16 = Machine(frozenset({"avx2", "avx512_bf16"}), cuda_devices=0, mps=False)
AMX = Machine(frozenset({"amx_bf16"}), cuda_devices=0, mps=False)
GPUS = Machine(frozenset({"avx2"}), cuda_devices=2, mps=False)
MAC = Machine(frozenset(), cuda_devices=0, mps=True)


@pytest.mark.parametrize(
    ("machine", "device", "dtype", "expected"),
    [
        (PLAIN, None, None, ("cpu", torch.float32)),
        (BF16, None, None, ("cpu", torch.bfloat16)),
        (AMX, "auto", "auto", ("cpu", torch.bfloat16)),
        (GPUS, None, None, ("cuda", torch.float16)),
        (MAC, None, None, ("mps", torch.float16)),
        (GPUS, "cpu", None, ("cpu", torch.float32)),
        (GPUS, "cuda:1", "bf16", ("cuda:1", torch.bfloat16)),
        (GPUS, "cuda", "fp32", ("cuda", torch.float32)),
        (BF16, None, "float32", ("cpu", torch.float32)),
        (PLAIN, None, "bfloat16", ("cpu", torch.bfloat16)),
    ],
)
def test_choice(machine: Machine, device: str | None, dtype: str | None, expected: tuple[str, torch.dtype]) -> None:
    compute = choose(device, dtype, machine)
    assert (compute.device, compute.dtype) == (torch.device(expected[0]), expected[1])
    assert compute.notes == ()


@pytest.mark.parametrize("name", ["float16", "fp16"])
@pytest.mark.parametrize(("machine", "instead"), [(PLAIN, torch.float32), (BF16, torch.bfloat16)])
def test_a_cpu_never_computes_float16(name: str, machine: Machine, instead: torch.dtype) -> None:
    compute = choose("cpu", name, machine)
    assert compute.dtype == instead
    assert str(instead).removeprefix("torch.") in compute.notes[0]


@pytest.mark.parametrize(
    ("machine", "device", "dtype", "words"),
    [
        (PLAIN, "cuda", None, "no NVIDIA GPU"),
        (PLAIN, "mps", None, "no Apple GPU"),
        (GPUS, "cuda:2", None, "has 2"),
        (PLAIN, "gpu", None, "'gpu' is not known"),
        (PLAIN, "cuda:x", None, "'cuda:x' is not known"),
        (PLAIN, "cpu:1", None, "has 1"),
        (PLAIN, None, "int8", "'int8' is not known"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(
    machine: Machine, device: str | None, dtype: str | None, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        choose(device, dtype, machine)
    assert caught.value.remedy


def test_this_machine_can_be_chosen_for() -> None:
    machine = this_machine()
    assert choose().dtype == choose(machine=machine).dtype
    assert machine.cuda_devices == torch.cuda.device_count()
