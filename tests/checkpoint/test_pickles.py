"""Pickled checkpoints that people have are read like safetensors files, exactly, once."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch
from tests.support.pickles import legacy, pickled_view, root, storage, tensor, zipped

from inkwash.checkpoint import Catalog, DamagedFile, ModelSpec, detect, model_weights, read, read_header, write
from inkwash.checkpoint import open as open_source
from inkwash.checkpoint.pickles import process
from inkwash.core.files import CannotWrite

FORMATS = pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INKWASH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def save(value: object, path: Path, *, new: bool = True) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=new)
    return path


def every_kind() -> dict[str, torch.Tensor]:
    grid = torch.arange(120.0).reshape(2, 3, 4, 5)
    return {
        "plain": torch.randn(3, 2),
        "parameter": torch.nn.Parameter(torch.randn(3)),
        "half": torch.randn(5).half(),
        "bf16": torch.randn(32, 16, 3, 3).bfloat16().to(memory_format=torch.channels_last),
        "double": torch.randn(2, dtype=torch.float64),
        "complex": torch.randn(2, dtype=torch.complex64),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "transposed": grid.permute(3, 0, 2, 1),
        "cut": grid[1:, ::2, 1:3, 4],
        "expanded": torch.ones(2, 1).expand(2, 7),
        "shared 1": grid,
        "shared 2": grid[0],
        "水墨": torch.ones(1),
        **{f"int{bits}": torch.arange(4, dtype=getattr(torch, f"int{bits}")) for bits in (8, 16, 32, 64)},
        "uint8": torch.arange(4, dtype=torch.uint8),
    }


@FORMATS
def test_every_tensor_as_torch_reads_it(new: bool, tmp_path: Path) -> None:
    path = save(every_kind(), tmp_path / "model.pt", new=new)
    expected = torch.load(path, weights_only=True)
    found = read(path)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


def test_dtypes_of_new_versions(tmp_path: Path) -> None:
    tensors = {str(kind): torch.ones(4).to(kind) for kind in (torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16)}
    found = read(save(tensors, tmp_path / "model.pt"))
    assert all(found[name].dtype == value.dtype for name, value in tensors.items())
    assert all(torch.equal(found[name].float(), value.float()) for name, value in tensors.items())


@FORMATS
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(new: bool, protocol: int, tmp_path: Path) -> None:
    torch.save(every_kind(), tmp_path / "m.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    assert set(read(tmp_path / "m.pt")) == set(every_kind())


def test_views_of_the_oldest_files(tmp_path: Path) -> None:
    """Before 0.4 a storage could be a part of another."""
    (tmp_path / "m.pt").write_bytes(legacy(root(weights=tensor(storage(view=pickled_view(1, 3)), 1, b"K\x02\x85"))))
    assert read(tmp_path / "m.pt")["a"].tolist() == [3, 4]


def training_checkpoint(weights: dict[str, torch.Tensor]) -> dict[object, object]:
    """What pytorch-lightning saves, as in sd-v1-4.ckpt: classes as keys, NumPy scalars, optimiser states."""
    return {
        "epoch": 7,
        "global_step": 470_000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": OrderedDict(weights),
        "callbacks": {
            ModelCheckpoint: {
                "monitor": "val/loss",
                "best_model_score": torch.tensor(0.1),
                "current": numpy.float64(0.2),
            }
        },
        "optimizer_states": [
            {"state": {0: {"step": 3, "exp_avg": torch.ones(9)}}, "param_groups": [{"betas": (0.9,)}]}
        ],
        "lr_schedulers": [defaultdict(dict, last=numpy.float32(1e-4))],
        "seen": {1, 2},
        "array": numpy.arange(3),
        "device": torch.device("cpu"),
    }


class ModelCheckpoint:
    """Stands for Lightning's class of this name, which is not needed to read the file."""


@FORMATS
def test_training_checkpoint(new: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "pytorch_lightning.callbacks.model_checkpoint"
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", module):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(ModelCheckpoint=ModelCheckpoint))
    monkeypatch.setattr(ModelCheckpoint, "__module__", module)
    weights = {"model.a": torch.randn(4), "model_ema.a": torch.randn(4)}
    path = save(training_checkpoint(weights), tmp_path / "sd.ckpt", new=new)
    assert module.encode() in path.read_bytes()
    found = read(path)
    assert set(found) == set(weights)
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert read_header(path).metadata == {"epoch": "7", "global_step": "470000", "pytorch-lightning_version": "1.4.2"}


def test_textual_inversion_and_hypernetwork(tmp_path: Path) -> None:
    embedding = {
        "string_to_token": {"*": torch.tensor(265)},
        "string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.ones(2, 8))}),
        "name": "ink",
        "step": 500,
    }
    path = save(embedding, tmp_path / "ink.pt")
    assert set(read(path)) == {"string_to_token.*", "string_to_param.*"}
    assert read_header(path).metadata == {"name": "ink", "step": "500"}
    network = {768: ({"linear.weight": torch.ones(2, 2)}, {"linear.weight": torch.zeros(2, 2)}), "step": 3}
    found = read(save(network, tmp_path / "network.pt"))
    assert torch.equal(found["768.1.linear.weight"], torch.zeros(2, 2))
    assert set(read(save([torch.ones(1)], tmp_path / "list.bin"))) == {"0"}


def test_deflated_files_are_read_too(tmp_path: Path) -> None:
    """PyTorch stores; people compress again."""
    source = save({"a": torch.arange(1000)}, tmp_path / "m.pt")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(tmp_path / "n.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert torch.equal(read(tmp_path / "n.pt")["a"], torch.arange(1000))


def test_safetensors_under_the_name_of_a_pickle(tmp_path: Path) -> None:
    write(tmp_path / "m.safetensors", {"a": torch.ones(1)})
    os.rename(tmp_path / "m.safetensors", tmp_path / "m.ckpt")
    assert set(read(tmp_path / "m.ckpt")) == {"a"}


@FORMATS
def test_a_checkpoint_is_the_same_model(new: bool, ldm_file: Path, tmp_path: Path) -> None:
    path = save({"state_dict": read(ldm_file)}, tmp_path / "tiny.ckpt", new=new)
    spec = detect(path)
    expected = detect(ldm_file)
    assert (spec.path, spec.name, spec.unet, spec.vae) == (path, "tiny", expected.unet, expected.vae)
    with open_source(path) as source, open_source(ldm_file) as reference:
        weights = dict(model_weights(source, spec))
        assert all(torch.equal(weights[name], value) for name, value in model_weights(reference, expected))
        assert source.header.path == path


def test_the_yaml_beside_it_counts(ldm_file: Path, tmp_path: Path) -> None:
    path = save(read(ldm_file), tmp_path / "v.ckpt")
    path.with_suffix(".yaml").write_text("model: {params: {parameterization: v}}")
    assert detect(path).prediction == "v"


def test_right_names_with_wrong_shapes(ldm_file: Path, tmp_path: Path) -> None:
    tensors = read(ldm_file)
    tensors["model.diffusion_model.out.2.bias"] = torch.ones(5)
    with pytest.raises(DamagedFile, match=r"out\.2\.bias has the shape \[5\]"):
        detect(save(tensors, tmp_path / "m.ckpt"))


def test_converted_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save({"a": torch.ones(3)}, tmp_path / "m.ckpt")
    read(path)
    [kept] = cache.glob("converted-*/*.safetensors")
    assert kept.stem == read_hash(path)
    monkeypatch.setattr(process.subprocess, "Popen", None)  # no second process can be started
    os.rename(path, tmp_path / "other.ckpt")
    assert read(tmp_path / "other.ckpt")["a"].tolist() == [1, 1, 1]


def read_hash(path: Path) -> str:
    from inkwash.checkpoint import sha256

    return sha256(path)


def test_another_file_under_the_same_name_is_read_anew(tmp_path: Path) -> None:
    read(save({"a": torch.ones(3)}, tmp_path / "m.ckpt"))
    assert read(save({"a": torch.zeros(4)}, tmp_path / "m.ckpt"))["a"].tolist() == [0, 0, 0, 0]


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INKWASH_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(CannotWrite):
        read(save({"a": torch.ones(3)}, tmp_path / "m.ckpt"))


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    path = save({"a": torch.ones(100_000)}, tmp_path / "m.ckpt")
    with open(path, "rb") as file, open("/dev/full", "wb") as out, pytest.raises(OSError, match="cannot be written"):
        process._judge(path, *process._run(path, file, out, path.stat().st_size))


def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_CODE", "while True: pass")
    monkeypatch.setattr(process, "WALL_SECONDS", 0)
    with pytest.raises(DamagedFile, match="far longer"):
        read(save({"a": torch.ones(3)}, tmp_path / "m.ckpt"))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and read as Linux does it")
def test_the_readers_process_is_bounded() -> None:
    """No file, no process, little memory, little time; and no event that Python audits."""
    script = """
import os, resource, sys
from inkwash.checkpoint.pickles import child
child.preload()
child._limit(0, 2)
limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU)]
assert limits == [0, 2]
for attempt in (lambda: open(__file__ if "__file__" in globals() else "/etc/hostname"), lambda: bytearray(10**9)):
    try:
        attempt()
    except (OSError, MemoryError):
        continue
    raise SystemExit("allowed")
sys.addaudithook(child._seal)
os.system("echo escaped")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "would have caused os.system" in run.stderr
    assert "escaped" not in run.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_stays_near_the_files_size(tmp_path: Path) -> None:
    """64 MB with a transposed half: the peak of the reader's process stays below file + 200 MB."""
    tensors = {"a": torch.randn(2048, 4096).t(), "b": torch.randn(2048, 4096)}
    path = save(tensors, tmp_path / "m.ckpt")
    script = """
import resource, sys
from pathlib import Path
from inkwash.checkpoint.pickles.process import rewrite_file
rewrite_file(Path(sys.argv[1]), Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
    run = subprocess.run(
        [sys.executable, "-c", script, path, tmp_path / "o"], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) * 1024 < path.stat().st_size + 200_000_000
    os.rename(tmp_path / "o", tmp_path / "o.safetensors")
    found = read(tmp_path / "o.safetensors")
    assert all(torch.equal(found[name], value) for name, value in tensors.items())


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    path = save({"a": torch.ones(3)}, tmp_path / "m.ckpt")
    script = (
        "import sys; from inkwash.checkpoint import read_header\n"
        "assert list(read_header(sys.argv[1]).tensors) == ['a']\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, path], check=True)


def test_folder_with_pickled_weights(diffusers_folder: Path, tiny: ModelSpec, tmp_path: Path) -> None:
    """Folders of 2022: .bin files, one of them in shards."""
    folder = tmp_path / "old"
    for component, stem in {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}.items():
        (folder / component).mkdir(parents=True)
        save(read(diffusers_folder / component), folder / component / f"{stem}.bin")
    text = read(diffusers_folder / "text_encoder")
    (folder / "text_encoder").mkdir()
    names = {name: f"pytorch_model-0000{1 + index % 2}-of-00002.bin" for index, name in enumerate(text)}
    for shard in set(names.values()):
        save({name: text[name] for name in names if names[name] == shard}, folder / "text_encoder" / shard)
    index = folder / "text_encoder" / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    (folder / "model_index.json").write_text("{}")
    expected, found = read(diffusers_folder), read(folder)
    assert set(expected) == set(found)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert detect(folder).unet == tiny.unet


def test_the_catalog_lists_them(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    (tmp_path / "models" / "VAE").mkdir()
    for name in ("a.ckpt", "b.pt", "c.ckpt", "c.safetensors", "a.vae.pt"):
        (folder / name).write_bytes(b"")
    (tmp_path / "models" / "VAE" / "b.ckpt").write_bytes(b"")
    catalog = Catalog([tmp_path], box=tmp_path / "none")
    assert [entry.relative for entry in catalog.entries()] == ["a.ckpt", "b.pt", "c.ckpt", "c.safetensors"]
    assert catalog.find("c").path == folder / "c.safetensors"  # what it was converted to
    assert catalog.find("c.ckpt").path == folder / "c.ckpt"
    for model, vae in {"a": "a.vae.pt", "b": "b.ckpt", "c": None}.items():
        chosen = catalog.vae_of(catalog.find(model), "Automatic")
        assert (chosen.path.name if chosen else None) == vae


def test_what_may_be_mentioned_but_not_called(tmp_path: Path) -> None:
    """A class of a trainer as a value or key is harmless; one of Python itself has no business in a model."""
    (tmp_path / "m.ckpt").write_bytes(zipped(root(("callbacks", b"}cmy.trainer\nSaver\nNs"))))
    assert set(read(tmp_path / "m.ckpt")) == {"a"}
    (tmp_path / "n.ckpt").write_bytes(zipped(root(("callbacks", b"}cos\nsystem\nNs"))))
    with pytest.raises(DamagedFile, match=r"os\.system"):
        read(tmp_path / "n.ckpt")


def test_plain_values_are_those_of_pickle(tmp_path: Path) -> None:
    """The machine against Python's own reader, on plain values of every protocol."""
    from inkwash.checkpoint.pickles.cursor import Cursor
    from inkwash.checkpoint.pickles.machine import Machine

    value = {
        "numbers": [0, 1, -1, 255, 256, 65536, -(2**31), 2**31, 2**70, -(2**70), 1.5, float("inf"), True, False, None],
        "texts": ["", "a", "水墨\n'\"\\", "x" * 300],
        "bytes": [b"", b"\0\xff", b"y" * 300, bytearray(b"z")][:3],
        "nested": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {1: {2: {3: ()}}}),
        "sets": [{1, 2}, frozenset({3})],
        ("a", 1): OrderedDict(b=1, a=2),
    }
    value["again"] = value["texts"]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(value, protocol)
        assert Machine(Cursor(data), lambda identity: None).run() == value, protocol
