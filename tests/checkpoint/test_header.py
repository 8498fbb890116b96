"""Damaged and hostile safetensors files are refused in words; sound ones never.  Reference: the safetensors library."""

from __future__ import annotations

import json
import os
import pickle
import random
import socket
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file

from inkwash.checkpoint import DamagedFile, ModelNotFound, UnsupportedModel, read, read_header
from inkwash.core.errors import InkwashError


def packed(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: object = (2,), start: object = 0, end: object = 8, dtype: object = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


GOOD = save({"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(5, dtype=torch.int8)}, {"k": "v"})
TWICE = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'

DAMAGED = {
    "empty file": b"",
    "seven bytes": b"1234567",
    "length 2**64-1": b"\xff" * 8 + b"{}",
    "length beyond the file": struct.pack("<Q", 1000) + b"{}",
    "101 MB header": struct.pack("<Q", 101_000_000) + b"{}" + b" " * 101_000_000,
    "overlapping tensors": packed({"a": entry(), "b": entry(start=4, end=12)}, b"\0" * 12),
    "same bytes twice": packed({"a": entry(), "b": entry()}, b"\0" * 8),
    "hole": packed({"a": entry(), "b": entry(start=12, end=20)}, b"\0" * 20),
    "hole in front": packed({"a": entry(start=4, end=12)}, b"\0" * 12),
    "trailing bytes": GOOD + b"\0",
    "trailing bytes, no tensors": packed({}, b"\0"),
    "duplicate key": packed(TWICE, b"\0" * 8),
    "duplicate metadata": packed(b'{"__metadata__":{},"__metadata__":{}}'),
    "duplicate metadata key": packed(b'{"__metadata__":{"a":"b","a":"c"}}'),
    "duplicate field": packed(b'{"a":{"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
    "product past 64 bits": packed({"a": entry([2**32, 2**32])}, b"\0" * 8),
    "product past 64 bits, then 0": packed({"a": entry([2**62, 2**62, 0], 0, 0)}),
    "dimension past 64 bits": packed({"a": entry([2**64, 0], 0, 0)}),
    "negative dimension": packed({"a": entry([-2])}, b"\0" * 8),
    "float dimension": packed({"a": entry([2.0])}, b"\0" * 8),
    "bool dimension": packed({"a": entry([True, 2])}, b"\0" * 8),
    "text dimension": packed({"a": entry(["2"])}, b"\0" * 8),
    "null shape": packed({"a": entry(None)}, b"\0" * 8),
    "65 dimensions": packed({"a": entry([1] * 64 + [2])}, b"\0" * 8),
    "negative offset": packed({"a": entry(start=-8, end=0)}, b"\0" * 8),
    "offsets reversed": packed({"a": entry(start=8, end=0)}, b"\0" * 8),
    "three offsets": packed({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]}}, b"\0" * 8),
    "float offset": packed({"a": entry(end=8.0)}, b"\0" * 8),
    "offset beyond the file": packed({"a": entry([1000], 0, 4000)}, b"\0" * 8),
    "size not shape x dtype": packed({"a": entry([3])}, b"\0" * 8),
    "half a byte": packed({"a": entry([3], 0, 2, "F4")}, b"\0" * 2),
    "unknown dtype": packed({"a": entry(dtype="F128")}, b"\0" * 8),
    "dtype no text": packed({"a": entry(dtype=7)}, b"\0" * 8),
    "no dtype": packed({"a": {"shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8),
    "tensor is a list": packed({"a": [1, 2]}),
    "tensor is null": packed({"a": None}),
    "header is a list": packed([]),
    "header is a number": packed(b"17"),
    "header is empty": packed(b""),
    "space in front": packed(b" {}"),
    "cut JSON": packed(b'{"a":{"dtype":"F32"'),
    "trailing comma": packed(b'{"__metadata__":{},}'),
    "text behind": packed(b"{}{}"),
    "NUL padding": packed(b"{}\0\0"),
    "single quotes": packed(b"{'a':1}"),
    "control character": packed(b'{"__metadata__":{"a":"\n"}}'),
    "bad escape": packed(b'{"__metadata__":{"a":"\\q"}}'),
    "lone surrogate": packed(b'{"__metadata__":{"a":"\\ud800"}}'),
    "invalid UTF-8": packed(b'{"__metadata__":{"a":"\xff\xfe"}}'),
    "invalid UTF-8 in a name": packed(b'{"\xc0\x80":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
    "100k-deep JSON": packed(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "100k-deep list": packed(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "deep list in a shape": packed(b'{"a":{"dtype":"F32","shape":' + b"[" * 400 + b"]" * 400 + b"}}"),
    "deep metadata": packed(b'{"__metadata__":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001),
    "digits without end": packed(b'{"a":{"dtype":"F32","shape":[' + b"9" * 900 + b'],"data_offsets":[0,8]}}'),
    "metadata number": packed({"__metadata__": {"a": 1}}),
    "metadata null value": packed({"__metadata__": {"a": None}}),
    "metadata object": packed({"__metadata__": {"a": {"b": "c"}}}),
    "metadata list": packed({"__metadata__": ["a"]}),
    "metadata text": packed({"__metadata__": "a"}),
    "raw pickle": pickle.dumps({"a": list(range(1000))}),
    "old pickle": pickle.dumps({"a": list(range(1000))}, protocol=0),
    "web page": b"<!DOCTYPE html><html><body>Please log in</body></html>",
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
}


def refused(path: Path) -> InkwashError:
    """The error with which both readers refuse a file; it names the file and says what to do."""
    with pytest.raises(InkwashError) as from_header:
        read_header(path)
    with pytest.raises(InkwashError) as from_read:
        read(path)
    assert str(from_header.value) == str(from_read.value)
    assert str(path) in from_header.value.message
    assert from_header.value.remedy
    return from_header.value


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_damaged_file_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    error = refused(path)
    assert isinstance(error, DamagedFile)
    assert len(str(error)) < 1000


def test_truncated_at_every_percent(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    data = save({f"layer.{n}": torch.zeros(50) for n in range(20)})
    for percent in range(100):
        path.write_bytes(data[: len(data) * percent // 100])
        assert isinstance(refused(path), DamagedFile)


def test_zip_and_pickles_are_named(tmp_path: Path) -> None:
    fake = tmp_path / "model.safetensors"
    with zipfile.ZipFile(fake, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    assert "pickle" in str(refused(fake))


@pytest.mark.skipif(os.name == "nt", reason="POSIX file types")
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.safetensors")
    (tmp_path / "broken.safetensors").symlink_to(tmp_path / "gone")
    (tmp_path / "loop.safetensors").symlink_to(tmp_path / "loop.safetensors")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.safetensors"))
        for name in ("fifo", "socket"):
            assert isinstance(refused(tmp_path / f"{name}.safetensors"), DamagedFile)
    refused(tmp_path / "loop.safetensors")
    assert isinstance(refused(Path("/dev/zero")), DamagedFile)
    assert "gone" in str(refused(tmp_path / "broken.safetensors"))
    assert isinstance(refused(tmp_path / "absent.safetensors"), ModelNotFound)
    (tmp_path / "folder.safetensors").mkdir()
    refused(tmp_path / "folder.safetensors")


SOUND = {
    "nothing": packed({}),
    "null metadata": packed({"__metadata__": None}),
    "space everywhere": packed(
        b'{ "a" :\t{ "shape" : [ 2 ] ,\r\n"data_offsets" : [ 0 , 8 ] , "dtype" : "F32" } }   \n', b"\1" * 8
    ),
    "unaligned": packed(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} ', bytes(range(8))),
    "unordered": packed({"b": entry(start=8, end=16), "a": entry()}, bytes(range(16))),
    "empty tensors between": packed(
        {"a": entry(), "e": entry([0, 7], 8, 8), "f": entry([0], 8, 8, "BF16"), "b": entry(start=8, end=16)},
        bytes(range(16)),
    ),
    "scalar": packed({"a": entry([], 0, 4)}, b"\0\0\x80?"),
    "names": packed({"": entry(), 'q"uo\\te ☃ 猫 😀': entry(start=8, end=16)}, bytes(range(16))),
    "markup in metadata": packed({"__metadata__": {"title": "<script>alert(1)</script>", "猫": "\U0001f600\n"}}),
    "unknown field": packed({"a": {**entry(), "comment": "x"}}, b"\0" * 8),
    "99 MB of metadata": packed({"__metadata__": {"tags": "a" * 99_000_000}}),
    "99 MB of padding": packed(b"{}" + b" " * 99_000_000),
}


@pytest.mark.parametrize("data", SOUND.values(), ids=SOUND)
def test_sound_file_is_accepted(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with safe_open(path, "pt") as reference:
        assert read_header(path).metadata == (reference.metadata() or {})
        tensors = read(path)
        assert set(tensors) == set(reference.keys())
        for name, tensor in tensors.items():
            assert torch.equal(tensor, reference.get_tensor(name))


def _random_tensor(dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    count = torch.Size(shape).numel() * dtype.itemsize
    high = 2 if dtype is torch.bool else 256
    data = torch.randint(0, high, (count,), generator=generator, dtype=torch.uint8)
    return data.view(dtype).reshape(shape) if count else torch.empty(shape, dtype=dtype)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 1), (0, 4), (1,) * 12], ids=str)
def test_every_dtype_of_the_library(shape: tuple[int, ...], tmp_path: Path) -> None:
    names = "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 bfloat16 float32 float64 complex64"
    names += " float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz"
    tensors = {name: _random_tensor(getattr(torch, name), shape) for name in names.split()}
    path = tmp_path / "all.safetensors"
    save_file(tensors, path)
    for name, tensor in read(path).items():
        assert tensor.dtype == tensors[name].dtype
        assert tensor.shape == tensors[name].shape
        # bytes, since NaN != NaN
        assert torch.equal(tensor.reshape(-1).view(torch.uint8), tensors[name].reshape(-1).view(torch.uint8)), name


def test_exotic_dtypes_are_listed_and_refused_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "exotic.safetensors"
    data = {"f6": entry([4], 0, 3, "F6_E2M3"), "f4": entry([4], 3, 5, "F4"), "e8": entry([3], 5, 8, "F8_E8M0")}
    path.write_bytes(packed(data, b"\0" * 8))
    assert set(read_header(path).tensors) == {"f6", "f4", "e8"}
    with pytest.raises(UnsupportedModel, match="f6"):
        read(path)


def _mutant(chance: random.Random) -> bytes:
    """GOOD with one or two changes; in half of the cases the length in front is made right again."""
    length = int.from_bytes(GOOD[:8], "little")
    head, text, data = bytearray(GOOD[:8]), bytearray(GOOD[8 : 8 + length]), GOOD[8 + length :]
    for _ in range(chance.randint(1, 2)):
        part = text if chance.random() < 0.9 else head
        place = chance.randrange(len(part) or 1)
        match chance.randrange(4):
            case 0:
                part[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                part[place : place + 1] = bytes([chance.choice(b'0123456789[]{}",:-.eE tfn\\')])
            case 2:
                del part[place : place + chance.randint(1, 4)]
            case 3:
                part[place:place] = part[place : place + chance.randint(1, 9)]
    return packed(bytes(text), data) if chance.random() < 0.5 else bytes(head + text + data)


def test_mutations_are_judged_as_the_library_judges_them(tmp_path: Path) -> None:
    """1,000 seeded mutations.  What we accept the library accepts, and reads the same; what it accepts we accept,
    except for a name listed twice, of which the library silently drops one."""
    path, chance = tmp_path / "mutant.safetensors", random.Random(7)
    accepted = 0
    for _ in range(1000):
        path.write_bytes(_mutant(chance))
        try:
            with safe_open(path, "pt") as reference:
                expected = {name: reference.get_tensor(name) for name in reference.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            with pytest.raises(DamagedFile):
                read_header(path)
            continue
        try:
            found = read(path)
        except DamagedFile as error:
            assert "listed twice" in str(error)  # noqa: PT017
            continue
        accepted += 1
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], expected[name]) for name in found)
    assert accepted > 25


MEASURE = """
import sys, time
from pathlib import Path
from inkwash.checkpoint.files import read_header
from inkwash.core.errors import InkwashError
def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
before = peak()
start = time.process_time()
try:
    read_header(Path(sys.argv[1])); print("accepted")
except InkwashError as error:
    print("refused")
print(time.process_time() - start, (peak() - before) / 1024)
"""

_ENTRY = b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
MONSTERS = {
    "400k tensors": lambda: b"{" + b"".join(_ENTRY % n for n in range(400_000)),
    "50M numbers": lambda: b'{"a":{"dtype":"F32","shape":[' + b"0," * 49_000_000,
    "50M brackets": lambda: b'{"a":' + b"[" * 99_000_000,
    "50M escapes": lambda: b'{"__metadata__":{"a":"' + b"\\n" * 49_000_000 + b'"}}',
    "one emoji in 99 MB": lambda: b'{"__metadata__":{"a":"' + "😀".encode() + b"a" * 99_000_000 + b'"}}',
    "15 MB of emoji and escapes": lambda: b'{"__metadata__":{"a":"' + ("😀\\n" * 2_500_000).encode() + b'"}}',
    "3M metadata": lambda: b'{"__metadata__":{' + b"".join(b'"%d":"",' % n for n in range(3_000_000)),
    "tensors of many wide dimensions": lambda: (
        b"{"
        + b",".join(
            b'"%d":{"dtype":"F32","shape":[0%s],"data_offsets":[0,0]}' % (n, b",1152921504606846976" * 40)
            for n in range(49_000)
        )
        + b"}"
    ),
    "a name of backslashes": lambda: b'{"' + b"\\" * 99_000_000,
}


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("timed", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", MONSTERS)
def test_time_and_memory_stay_bounded(name: str, timed: bool, tmp_path: Path) -> None:
    """At most 2 s of this process's own time (with ``-m slow``), and 200 MB above the file's own size."""
    path = tmp_path / "monster.safetensors"
    path.write_bytes(packed(MONSTERS[name]()))
    run = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    verdict, seconds, megabytes = run.stdout.split()
    print(name, verdict, seconds, megabytes)
    assert verdict in ("accepted", "refused")
    assert not timed or float(seconds) < 2
    assert float(megabytes) < path.stat().st_size / 2**20 + 200


MANY = """
import json, random, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from inkwash.checkpoint.files import read
from inkwash.core.errors import InkwashError
from tests.checkpoint.test_header import GOOD, _mutant
path, chance = Path(sys.argv[2]), random.Random(8)
path.write_bytes(GOOD)
read(path)
slowest, accepted, events, watching = 0.0, 0, set(), False
def hook(event, arguments):
    if watching:
        events.add(event)
def peak():  # of this process; ru_maxrss begins with the parent's
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
before = peak()
sys.addaudithook(hook)
for _ in range(10_000):
    path.write_bytes(_mutant(chance))
    start, watching = time.perf_counter(), True
    try:
        read(path)
        accepted += 1
    except InkwashError as error:
        assert str(path) in error.message and error.remedy, error
    watching = False
    slowest = max(slowest, time.perf_counter() - start)
print(json.dumps({"accepted": accepted, "slowest": slowest, "grown": peak() - before, "events": sorted(events)}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux does")
def test_ten_thousand_mutations(tmp_path: Path) -> None:
    """Read or refused in words; no audited event but opening and mapping; at most 2 s each, at most 200 MB in all."""
    arguments = [sys.executable, "-c", MANY, str(Path(__file__).parents[2]), str(tmp_path / "mutant.safetensors")]
    told = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    print("safetensors", told)
    assert set(told["events"]) <= {"open", "mmap.__new__"}
    assert told["slowest"] < 2
    assert told["grown"] < 200_000_000
    assert 250 < told["accepted"] < 5_000
