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
from tests.support.checkpoints import Computed, full_sdxl_spec, write_ldm

from inkwash.checkpoint import detect, model_weights, parameters, write
from inkwash.checkpoint import open as open_source
from inkwash.checkpoint.plan import Reader
from inkwash.checkpoint.weights import stored_weights

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


def same(path: Path, original: Path) -> None:
    """Every weight of the file or folder is that of the original file, bit for bit."""
    found = 0
    with open_source(path) as source, open_source(original) as first:
        expected = stored_weights(first, detect(original))
        for name, weight in model_weights(source, detect(path)):
            assert weight.dtype == torch.float16
            assert torch.equal(weight, expected.make(name)), name
            found += 1
    assert found == len(parameters(full_sdxl_spec()))
    assert detect(path).unet == full_sdxl_spec().unet
    assert detect(path).texts == full_sdxl_spec().texts


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("xl") / "a.safetensors"
    if shutil.disk_usage(path.parent).free < DISK:
        pytest.skip(f"needs {DISK / GB:.0f} GB of free disk")
    write_ldm(path, full_sdxl_spec())
    yield path
    path.unlink()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_there_and_back_and_through_diffusers(file: Path, folder: Path) -> None:
    """File -> folder -> file keeps every bit, within 3 GB; diffusers and transformers read the folder and save it
    anew, every bit the same, and that is read again."""
    ours, back, theirs = (folder / name for name in ("ours", "back.safetensors", "theirs"))
    assert rewritten("folder", ours, file) < 3 * GB
    assert rewritten("file", back, ours) < 3 * GB
    same(back, file)
    back.unlink()
    for component, kind in loaders().items():
        network = kind.from_pretrained(ours / component, torch_dtype=torch.float16)
        check(network, component, file)
        network.save_pretrained(theirs / component)
        shutil.rmtree(ours / component)
        del network
    for name in ("model_index.json", "scheduler"):
        shutil.move(ours / name, theirs / name)
    same(theirs, file)


def check(network: Any, component: str, original: Path) -> None:
    """A network of another library holds the weights of the file, bit for bit."""
    state = {f"{component}.{name}": tensor for name, tensor in network.state_dict().items()}
    with open_source(original) as source:
        expected = stored_weights(source, detect(original))
        for name in (name for name in expected.tensors if name.startswith(f"{component}.")):
            held = state[name] if name in state else state[name.replace(".text_model.", ".")]  # transformers 5
            assert held.dtype == torch.float16
            assert torch.equal(held, expected.make(name)), name


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


def test_two_files_of_seven_gigabytes_merge_within_three(file: Path, folder: Path) -> None:
    """A and B = -A/2, of which 0.3 parts: 0.55 A."""
    second, target = (folder / f"{name}.safetensors" for name in ("b", "merged"))
    with open_source(file) as source:
        read = Reader(source)
        halves = {name: partial(half, read, name) for name in source.header.tensors}
        write(second, Computed(halves), source.header.metadata)
    assert min(path.stat().st_size for path in (file, second)) > 6.6 * GB
    assert rewritten("merge", target, file, second) < 3 * GB
    found = 0
    with open_source(target) as source, open_source(file) as original:
        expected = stored_weights(original, detect(file))
        for name, weight in model_weights(source, detect(target)):
            if name in SAMPLES:
                assert torch.allclose(weight.double(), expected.make(name).double() * 0.55, rtol=1e-3, atol=1e-6), name
                found += 1
    assert found == len(SAMPLES)


def half(read: Reader, name: str) -> torch.Tensor:
    tensor = read(name)
    return (tensor * -0.5).to(tensor.dtype) if tensor.dtype == torch.float16 else tensor
