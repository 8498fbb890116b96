"""Seeded mutations of sound pickled checkpoints: each is read or refused in words; nothing runs, nothing crashes."""

from __future__ import annotations

import json
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch
from safetensors.torch import load
from tests.support.pickles import Part, packed

from inkwash.checkpoint.pickles.rewrite import rewrite
from inkwash.checkpoint.pickles.values import Refused


def saved(*, new: bool) -> bytes:
    """A small training checkpoint as PyTorch saves it."""
    file = BytesIO()
    weights = {"a": torch.randn(3, 4), "b": torch.randn(6).half()[::2], "c": torch.nn.Parameter(torch.ones(2))}
    value = {"state_dict": weights, "global_step": 3, "optimizer_states": [{"state": {0: {"x": torch.ones(5)}}}]}
    torch.save(value, file, _use_new_zipfile_serialization=new)
    return file.getvalue()


SOUND = {"zip": saved(new=True), "legacy": saved(new=False)}
with zipfile.ZipFile(BytesIO(SOUND["zip"])) as _archive:
    ENTRIES = {name: _archive.read(name) for name in _archive.namelist()}
[PROGRAM] = [name for name in ENTRIES if name.endswith("/data.pkl")]
KINDS = ("zip", "legacy", "pickle")  # the last: the pickle alone, in a zip file whose checksums hold


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One to three changes: a bit, a byte, a number, bytes dropped, doubled or exchanged, an opcode put in."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 3])):
        at = chance.randrange(len(changed))
        kind = chance.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at] = chance.randrange(256)
        elif kind == 2:
            changed[at : at + 4] = struct.pack("<l", chance.choice([0, -1, 2**31 - 1, 255, 65536]))
        elif kind == 3:
            del changed[at : at + chance.randint(1, 40)]
        elif kind == 4:
            changed[at:at] = changed[at : at + chance.randint(1, 40)]
        elif kind == 5:
            other = chance.randrange(len(changed))
            changed[at : at + 8], changed[other : other + 8] = changed[other : other + 8], changed[at : at + 8]
        else:
            changed[at:at] = chance.choice(
                [b"R", b"cos\nsystem\n", b"0", b"2", b"(", b"t", b"\x81", b"b", b"Q", b"h\0"]
            )
    return bytes(changed)


def mutation(kind: str, seed: int) -> bytes:
    chance = random.Random(f"{kind} {seed}")
    if kind != "pickle":
        return mutated(SOUND[kind], chance)
    entries = ENTRIES | {PROGRAM: mutated(ENTRIES[PROGRAM], chance)}
    return packed([Part(name, data) for name, data in entries.items()])


def verdict(data: bytes) -> bool:
    """Was it read?  Anything but Refused is a defect."""
    try:
        rewrite(memoryview(data), BytesIO())
    except Refused:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_mutations_are_read_or_refused(kind: str) -> None:
    verdicts = [verdict(mutation(kind, seed)) for seed in range(1000)]
    assert 10 < sum(verdicts) < 500  # some changes do no harm: of a number, of padding, of an unused value


@pytest.mark.parametrize("kind", ["pickle", "legacy"])
def test_what_is_read_is_what_torch_reads(kind: str) -> None:
    """Of the mutated files that are read, PyTorch's own reader makes the same tensors, unless it refuses them."""
    compared = 0
    for seed in range(1000):
        data = mutation(kind, seed)
        if not verdict(data):
            continue
        try:
            expected = torch.load(BytesIO(data), weights_only=True)["state_dict"]
            bits = {name: value.detach().contiguous().numpy().tobytes() for name, value in expected.items()}
        except (pickle.UnpicklingError, RuntimeError, KeyError, AttributeError, TypeError, ValueError):
            continue
        out = BytesIO()
        rewrite(memoryview(data), out)
        assert {name: value.numpy().tobytes() for name, value in load(out.getvalue()).items()} == bits
        compared += 1
    assert compared > 10


MANY = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from inkwash.checkpoint.pickles.child import preload
from tests.checkpoint.test_pickles_mutations import mutation, verdict
preload()
slowest, read, events, watching = 0.0, 0, [], False
def hook(event, arguments):
    if watching:
        events.append(event)
def peak():  # of this process; ru_maxrss begins with the parent's
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
verdict(mutation(sys.argv[2], 0))
before = peak()
sys.addaudithook(hook)
for seed in range(10_000):
    data = mutation(sys.argv[2], seed)
    start = time.perf_counter()
    watching = True
    read += verdict(data)
    watching = False
    slowest = max(slowest, time.perf_counter() - start)
print(json.dumps({"read": read, "slowest": slowest, "grown": peak() - before, "events": sorted(set(events))}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_mutations(kind: str) -> None:
    """No audited event, at most 2 s each, at most 200 MB in all."""
    arguments = [sys.executable, "-c", MANY, str(Path(__file__).parents[2]), kind]
    run = subprocess.run(arguments, capture_output=True, text=True, check=True)
    told = json.loads(run.stdout)
    print(kind, told)
    assert told["events"] == []
    assert told["slowest"] < 2
    assert told["grown"] < 200_000_000
    assert 0 < told["read"] < 5_000
