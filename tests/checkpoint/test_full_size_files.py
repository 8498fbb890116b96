"""SDXL at its own size, 6.9 GB a file: converted there and back, read by diffusers and saved by it again, merged."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from tests.support.checkpoints import Computed, full_sdxl_spec, random_weights, write_ldm

from inkwash.checkpoint import detect, model_weights, parameters, write
from inkwash.checkpoint import open as open_source
from inkwash.checkpoint.plan import Reader

GB = 1e9
DISK, MEMORY = 24 * GB, 8 * GB
SAMPLES = frozenset(random.Random(0).sample(sorted(parameters(full_sdxl_spec())), 200))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
    pytest.mark.skipif(psutil.virtual_memory().available < MEMORY, reason="needs 8 GB of free memory"),
]

SCRIPT = """
import sys, threading
from pathlib import Path
from inkwash.checkpoint import detect, open
from inkwash.checkpoint.convert import ldm_file
from inkwash.checkpoint.merge import Part, Recipe, merged
from inkwash.checkpoint.pipeline import diffusers_folder
from inkwash.checkpoint.weights import stored_weights
import torch
torch.ones(4).half().float()
most = {}
def look(done=0, total=0):
    lines = Path("/proc/self/status").read_text().splitlines()
    for line in lines:
        name, _, value = line.partition(":")
        if name in ("VmHWM", "RssAnon", "RssFile"):
            most[name] = max(most.get(name, 0), int(value.split()[0]) * 1024)
what, target, *files = sys.argv[1:]
files = [Path(file) for file in files]
if what == "merge":
    with open(files[0]) as a, open(files[1]) as b:
        parts = [Part(a, detect(files[0])), Part(b, detect(files[1]))]
        merged(parts, Recipe("weighted-sum", 0.3)).write(Path(target), look)
else:
    make = diffusers_folder if what == "folder" else ldm_file
    with open(files[0]) as source:
        make(stored_weights(source, detect(files[0])), detect(files[0])).write(Path(target), look)
look()
print(most["VmHWM"], most["RssAnon"], most["RssFile"])
"""


def rewritten(what: str, target: Path, *files: Path) -> int:
    """Merges or converts in a process of its own.  Returns its largest resident memory, mapped pages included."""
    command = [sys.executable, "-c", SCRIPT, what, str(target), *map(str, files)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, anonymous, mapped = (int(number) for number in run.stdout.split())
    size = sum(file.stat().st_size for path in files for file in ([path] if path.is_file() else path.rglob("*")))
    told = f"peak {peak / GB:.2f} GB resident; at most {anonymous / GB:.2f} anonymous, {mapped / GB:.2f} mapped"
    print(f"{what}: {size / GB:.1f} GB read, {told}")
    return peak


def same(path: Path) -> None:
    """Every weight of the file or folder is the one that was made, bit for bit."""
    spec, expected = full_sdxl_spec(), random_weights(full_sdxl_spec())
    found = 0
    with open_source(path) as source:
        for name, weight in model_weights(source, detect(path)):
            assert weight.dtype == torch.float16
            assert torch.equal(weight, expected[name]), name
            found += 1
    assert found == len(expected)
    assert detect(path).unet == spec.unet
    assert detect(path).texts == spec.texts


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if shutil.disk_usage(tmp_path).free < DISK:
        pytest.skip(f"needs {DISK / GB:.0f} GB of free disk")
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_there_and_back_and_through_diffusers(folder: Path) -> None:
    """File -> folder -> file keeps every bit, within 3 GB; diffusers and transformers read the folder and save it
    anew, every bit the same, and that is read again."""
    file, ours, back, theirs = (folder / name for name in ("m.safetensors", "ours", "back.safetensors", "theirs"))
    write_ldm(file, full_sdxl_spec())
    assert rewritten("folder", ours, file) < 3 * GB
    assert rewritten("file", back, ours) < 3 * GB
    same(back)
    for path in (file, back):
        path.unlink()
    expected = random_weights(full_sdxl_spec())
    for component, kind in loaders().items():
        network = kind.from_pretrained(ours / component, torch_dtype=torch.float16)
        state = {f"{component}.{name}": tensor for name, tensor in network.state_dict().items()}
        names = [name for name in expected if name.startswith(f"{component}.")]
        for name in names:
            held = state[name] if name in state else state[name.replace(".text_model.", ".")]  # transformers 5
            assert torch.equal(held, expected[name]), name
        network.save_pretrained(theirs / component)
        shutil.rmtree(ours / component)
        del network, state
    for name in ("model_index.json", "scheduler"):
        shutil.move(ours / name, theirs / name)
    same(theirs)


def loaders() -> dict[str, Any]:
    import diffusers
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    library: Any = diffusers
    return {
        "text_encoder": CLIPTextModel,
        "text_encoder_2": CLIPTextModelWithProjection,
        "vae": library.AutoencoderKL,
        "unet": library.UNet2DConditionModel,
    }


def test_two_files_of_seven_gigabytes_merge_within_three(folder: Path) -> None:
    """A and B = -A/2, of which 0.3 parts: 0.55 A."""
    first, second, target = (folder / f"{name}.safetensors" for name in ("a", "b", "merged"))
    write_ldm(first, full_sdxl_spec())
    with open_source(first) as source:
        read = Reader(source)
        halves = {name: partial(half, read, name) for name in source.header.tensors}
        write(second, Computed(halves), source.header.metadata)
    assert min(path.stat().st_size for path in (first, second)) > 6.6 * GB
    assert rewritten("merge", target, first, second) < 3 * GB
    expected, found = random_weights(full_sdxl_spec()), 0
    with open_source(target) as source:
        for name, weight in model_weights(source, detect(target)):
            if name in SAMPLES:
                assert torch.allclose(weight.double(), expected[name].double() * 0.55, rtol=1e-3, atol=1e-6), name
                found += 1
    assert found == len(SAMPLES)


def half(read: Reader, name: str) -> torch.Tensor:
    tensor = read(name)
    return (tensor * -0.5).to(tensor.dtype) if tensor.dtype == torch.float16 else tensor
