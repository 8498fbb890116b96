"""Where and in what precision a model computes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from inkwash.core.errors import InvalidRequest

DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}
FAST_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16"})
"""CPU instructions that multiply bfloat16 at least twice as fast as float32."""


@dataclass(frozen=True)
class Machine:
    """What this computer can do.  ``cpu``: names of instruction sets, as in ``torch.cpu.get_capabilities()``."""

    cpu: frozenset[str]
    cuda_devices: int
    mps: bool


@dataclass(frozen=True)
class Compute:
    """A device and the dtype the networks compute in.

    capabilities: the CPU's instruction sets, on a CPU.  notes: what was chosen differently from what was asked, in
    words for the person who asked.
    """

    device: torch.device
    dtype: torch.dtype
    capabilities: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def this_machine() -> Machine:
    """Look at the machine Inkwash runs on."""
    features = frozenset(name for name, present in torch.cpu.get_capabilities().items() if present is True)
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Machine(features, cuda, torch.backends.mps.is_available())


def choose(device: str | None = None, dtype: str | None = None, machine: Machine | None = None) -> Compute:
    """Settle where to compute.

    device: "cpu", "cuda", "cuda:1", "mps"; None or "auto": the fastest there is.  dtype: a key of ``DTYPES``; None or
    "auto": 16 bit where the hardware multiplies it fast, else float32.  machine: None looks at this one.
    Raises InvalidRequest for unknown names and for devices that are absent.
    """
    machine = machine or this_machine()
    chosen = _device(device, machine)
    wanted = _dtype(dtype)
    if chosen.type != "cpu":
        return Compute(chosen, wanted or torch.float16)
    best = torch.bfloat16 if machine.cpu & FAST_BFLOAT16 else torch.float32
    if wanted is torch.float16:
        note = f"float16 is a thousand times slower than float32 on a CPU; computing in {_name(best)} instead."
        return Compute(chosen, best, machine.cpu, (note,))
    return Compute(chosen, wanted or best, machine.cpu)


def _device(name: str | None, machine: Machine) -> torch.device:
    if name is None or name == "auto":
        return torch.device("cuda" if machine.cuda_devices else "mps" if machine.mps else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (number.isascii() and number.isdigit())):
        raise InvalidRequest(f"device {name!r} is not known.", 'Use "cpu", "cuda", "cuda:1", "mps" or "auto".')
    count = {"cpu": 1, "cuda": machine.cuda_devices, "mps": int(machine.mps)}[kind]
    if int(number or 0) >= count:
        raise InvalidRequest(f"device {name!r} was asked for, but {_absent(kind, count)}.", _remedy(kind, count))
    return torch.device(name)


def _absent(kind: str, count: int) -> str:
    if count:
        return f"this machine has {count} of that kind, numbered from 0"
    return {"cuda": "PyTorch sees no NVIDIA GPU here", "mps": "PyTorch sees no Apple GPU here"}[kind]


def _remedy(kind: str, count: int) -> str:
    if count:
        return f"Use a number from 0 to {count - 1}, or leave the device out."
    driver = "; with such a GPU, install its driver and a CUDA build of PyTorch" if kind == "cuda" else ""
    return f'Leave the device out or use "cpu"{driver}.'


def _dtype(name: str | None) -> torch.dtype | None:
    """The dtype of that name; None for the best."""
    if name is None or name == "auto":
        return None
    if name not in DTYPES:
        raise InvalidRequest(f"dtype {name!r} is not known.", f"Use one of: auto, {', '.join(DTYPES)}.")
    return DTYPES[name]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
