"""Writing weights, reading them back, and folders of several files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from inkwash.checkpoint import DamagedFile, ModelNotFound, read, read_header, write
from inkwash.checkpoint import open as open_source
from inkwash.core.files import CannotWrite


def test_written_file_is_read_by_the_library(tmp_path: Path) -> None:
    path = tmp_path / "new" / "model.safetensors"
    tensors = {
        "odd": torch.arange(3, dtype=torch.uint8),
        "wide": torch.randn(2, 3, dtype=torch.float64),
        "half": torch.randn(4, 1, dtype=torch.bfloat16).t(),  # not contiguous
        "scalar": torch.tensor(1.5),
        "empty": torch.empty(0, 4),
        "complex": torch.randn(2, dtype=torch.complex64),
        "flags": torch.tensor([True, False]),
        "猫": torch.randn(2, 2, 2, 2).to(memory_format=torch.channels_last),
    }
    write(path, tensors, {"title": "水墨 <script>"})
    loaded = load_file(path)
    assert set(loaded) == set(tensors)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    with safe_open(path, "pt") as reference:
        assert reference.metadata() == {"title": "水墨 <script>"}
    for name, info in read_header(path).tensors.items():
        assert info.offset % loaded[name].dtype.itemsize == 0
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    class Failing(dict[str, torch.Tensor]):
        def __getitem__(self, name: str) -> torch.Tensor:
            if name == "b":
                raise RuntimeError("no more")
            return super().__getitem__(name)

    path = tmp_path / "model.safetensors"
    write(path, {"a": torch.ones(1)})
    with pytest.raises(RuntimeError):
        write(path, Failing(a=torch.zeros(1), b=torch.zeros(1)))
    assert torch.equal(read(path)["a"], torch.ones(1))
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_unwritable_place_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="cannot be written"):
        write(tmp_path / "file" / "model.safetensors", {"a": torch.ones(1)})


def test_writing_to_a_tensor_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write(path, {"a": torch.ones(1000)})
    before = path.read_bytes()
    read(path)["a"].zero_()
    assert path.read_bytes() == before


def test_tensors_outlive_their_source(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", {"a": torch.arange(5.0)})
    with open_source(tmp_path / "model.safetensors") as source:
        tensor = source.tensor("a")
    (tmp_path / "model.safetensors").unlink()
    assert tensor.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_reading_maps_rather_than_loads(tmp_path: Path) -> None:
    """64 MB read tensor by tensor: anonymous memory grows by less than a tenth, as pages stay the file's own."""
    path = tmp_path / "model.safetensors"
    write(path, {f"{n}": torch.ones(2**20) for n in range(16)})
    script = """
import sys, torch
from pathlib import Path
from inkwash.checkpoint import read
def anonymous():
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0])
torch.ones(10).sum()
before = anonymous()
assert sum(tensor.sum().item() for tensor in read(sys.argv[1]).values()) == 2**24
print(anonymous() - before)
"""
    run = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 6_500


def test_folder_is_read_under_prefixes(diffusers_folder: Path) -> None:
    tensors = read(diffusers_folder)
    assert {name.partition(".")[0] for name in tensors} == {"unet", "vae", "text_encoder"}
    unet = load_file(diffusers_folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(tensors[f"unet.{name}"], tensor) for name, tensor in unet.items())


def _component(folder: Path, weight_map: object, shards: dict[str, dict[str, torch.Tensor]]) -> Path:
    folder.mkdir()
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    for name, tensors in shards.items():
        save_file(tensors, folder / name)
    return folder


def test_shards_are_joined(tmp_path: Path) -> None:
    first, second = "m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"
    shards = {first: {"a": torch.ones(1)}, second: {"b": torch.zeros(2)}}
    folder = _component(tmp_path / "unet", {"a": first, "b": second}, shards)
    assert set(read(folder)) == {"a", "b"}
    assert set(read(tmp_path)) == {"unet.a", "unet.b"}
    (folder / second).unlink()
    with pytest.raises(ModelNotFound, match="00002"):
        read(folder)


def test_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    shards = {"x.safetensors": {"a": torch.ones(1)}, "y.safetensors": {"a": torch.ones(1), "b": torch.ones(1)}}
    with pytest.raises(DamagedFile, match="both hold a"):
        read(_component(tmp_path / "unet", {"a": "x.safetensors", "b": "y.safetensors"}, shards))


@pytest.mark.parametrize(
    "name",
    [
        "../m.safetensors",
        "/etc/m.safetensors",
        "sub/m.safetensors",
        "..\\m.safetensors",
        "C:m.safetensors",
        "m.bin",
        "",
        3,
    ],
)
def test_index_may_not_lead_elsewhere(name: object, tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "m.safetensors")
    with pytest.raises(DamagedFile, match=r"index\.json"):
        read(_component(tmp_path / "unet", {"a": name}, {}))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"weight_map": []}', "\xff"])
def test_damaged_index_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DamagedFile, match=r"index\.json"):
        read(tmp_path)


def test_full_precision_comes_before_variants(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "model.fp16.safetensors")
    save_file({"b": torch.ones(1)}, tmp_path / "diffusion_pytorch_model.non_ema.safetensors")
    assert set(read(tmp_path)) == {"a"}
    save_file({"c": torch.ones(1)}, tmp_path / "model.safetensors")
    assert set(read(tmp_path)) == {"c"}


def test_folder_without_readable_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no \.safetensors or \.bin file"):
        read(tmp_path)


def test_importing_and_listing_need_no_torch(ldm_file: Path) -> None:
    script = (
        "import sys; from inkwash.checkpoint import Catalog, detect; from pathlib import Path\n"
        "detect(sys.argv[1]); assert Catalog([Path(sys.argv[1]).parent]).find('tiny')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, ldm_file], check=True)
