"""Which model a name means, in the folders people have."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from inkwash.checkpoint import Catalog, Entry, HashCache, ModelNotFound, old_hash
from inkwash.core.errors import InvalidRequest


def put(path: Path, text: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text or path.name)
    return path


@pytest.fixture
def box(tmp_path: Path) -> Path:
    put(tmp_path / "box" / "ink.safetensors")
    return tmp_path / "box"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An A1111 folder."""
    root = tmp_path / "a1111"
    models = root / "models"
    for name in ("Anything.safetensors", "anime/Counterfeit-V3.safetensors", "anime/dream.safetensors", "old.ckpt"):
        put(models / "Stable-diffusion" / name)
    put(models / "Stable-diffusion" / "Anything.vae.safetensors")
    put(models / "Stable-diffusion" / ".hidden.safetensors")
    put(models / "Stable-diffusion" / "folder" / "model_index.json")
    put(models / "Stable-diffusion" / "folder" / "unet" / "diffusion_pytorch_model.safetensors")
    put(models / "VAE" / "vae-ft-mse.safetensors")
    put(models / "VAE" / "dream.safetensors")
    put(models / "Lora" / "style.safetensors")
    return root


@pytest.fixture
def catalog(root: Path, box: Path) -> Catalog:
    return Catalog([root], box=box)


MODELS = ["ink", "Counterfeit-V3", "dream", "Anything", "folder", "old"]


@pytest.mark.parametrize("below", ["", "models", "models/Stable-diffusion"])
def test_root_may_be_any_level(below: str, root: Path, box: Path) -> None:
    names = [entry.name for entry in Catalog([root / below], box=box).entries()]
    assert sorted(names) == sorted(MODELS)
    assert names[0] == "ink"


def test_comfyui_and_plain_folders(tmp_path: Path, box: Path) -> None:
    put(tmp_path / "comfy" / "models" / "checkpoints" / "a.safetensors")
    put(tmp_path / "comfy" / "models" / "vae" / "b.safetensors")
    put(tmp_path / "comfy" / "models" / "loras" / "c.safetensors")
    comfy = Catalog([tmp_path / "comfy"], box=box)
    assert [entry.name for entry in comfy.entries()] == ["ink", "a"]
    assert [entry.name for entry in comfy.entries("vae")] == ["b"]
    put(tmp_path / "plain" / "d.safetensors")
    put(tmp_path / "plain" / "Lora" / "e.safetensors")
    assert [entry.name for entry in Catalog([tmp_path / "plain"], box=box).entries()] == ["ink", "d"]


def test_vaes_are_listed_apart(catalog: Catalog) -> None:
    assert {entry.path.name for entry in catalog.entries("vae")} == {
        "Anything.vae.safetensors",
        "dream.safetensors",
        "vae-ft-mse.safetensors",
    }


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (None, "ink"),
        ("", "ink"),
        ("ink", "ink"),
        ("dream", "dream"),
        ("dream.safetensors", "dream"),
        ("anime/dream.safetensors", "dream"),
        ("anime/dream", "dream"),
        ("anime\\dream.safetensors", "dream"),
        ("  dream ", "dream"),
        ("DREAM", "dream"),
        ("counterfeit-v3.SAFETENSORS", "Counterfeit-V3"),
        ("folder", "folder"),
    ],
)
def test_names(name: str | None, found: str, catalog: Catalog) -> None:
    assert catalog.find(name).name == found


def test_title_and_hashes(catalog: Catalog, root: Path) -> None:
    digest = hashlib.sha256(b"dream.safetensors").hexdigest()
    for name in (
        digest,
        digest[:10],
        digest[:8].upper(),
        f"dream.safetensors [{digest[:10]}]",
        f"dream [{digest[:10]}]",
    ):
        entry = catalog.find(name)
        assert entry.path == root / "models" / "Stable-diffusion" / "anime" / "dream.safetensors"
        assert entry.title == f"anime/dream.safetensors [{digest[:10]}]"
    renamed = f"gone.safetensors [{digest[:10]}]"
    assert catalog.find(renamed).name == "dream"
    with pytest.raises(ModelNotFound, match="dream"):
        catalog.find("dream.safetensors [0123456789]")


def test_title_gains_its_hash_when_known(catalog: Catalog) -> None:
    assert catalog.find("dream").title == "anime/dream.safetensors"
    assert catalog.with_hash(catalog.find("dream")).sha256 == hashlib.sha256(b"dream.safetensors").hexdigest()
    assert catalog.find("dream").title.endswith("]")
    assert catalog.with_hash(catalog.find("folder")).sha256 is None


def test_old_hash(catalog: Catalog, root: Path) -> None:
    path = put(root / "models" / "Stable-diffusion" / "big.safetensors", "x" * (2**20 + 100))
    assert catalog.find(old_hash(path)).path == path


def test_paths(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "elsewhere" / "mine.safetensors")
    assert catalog.find(str(path)).path == path
    monkeypatch.chdir(path.parent)
    assert catalog.find("mine.safetensors").path.samefile(path)
    os.mkdir("elsewhere")
    with pytest.raises(ModelNotFound):
        catalog.find("elsewhere")


@pytest.mark.parametrize(
    "name", ["x" * 5000, "~nobody-of-that-name/x", "\0", "/", ".", "..", "[", "*", "dream\n", "[0123456789]"]
)
def test_odd_names_are_answered_in_words(name: str, catalog: Catalog) -> None:
    if name.strip() == "dream":
        assert catalog.find(name).name == "dream"
        return
    try:
        entry = catalog.find(name)
    except ModelNotFound as error:
        assert len(str(error)) < 1000  # noqa: PT017
    else:
        assert entry.path.is_dir()  # "/" and "." exist; opening them is refused


def test_near_misses_and_folders_are_named(catalog: Catalog, root: Path) -> None:
    with pytest.raises(ModelNotFound) as error:
        catalog.find("Conterfeit_v3")
    assert "Counterfeit-V3" in error.value.remedy
    assert str(root / "models" / "Stable-diffusion") in error.value.message


def test_empty_folder_says_what_to_put_where(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    for name in (None, "dream"):
        with pytest.raises(ModelNotFound) as error:
            Catalog([tmp_path], box=tmp_path / "nobox").find(name)
        assert str(folder) in error.value.message
        assert f".safetensors files into {folder}" in error.value.remedy
    with pytest.raises(ModelNotFound):
        Catalog([tmp_path / "absent"], box=tmp_path / "nobox").find("dream")


def test_two_files_of_one_name(catalog: Catalog, root: Path) -> None:
    other = put(root / "models" / "Stable-diffusion" / "real" / "dream.safetensors", "another")
    with pytest.raises(InvalidRequest) as error:
        catalog.find("dream")
    assert str(other) in error.value.message
    assert catalog.find("real/dream").path == other
    digest = hashlib.sha256(b"another").hexdigest()[:10]
    assert catalog.find(f"dream.safetensors [{digest}]").path == other


def test_new_files_appear_at_once(catalog: Catalog, root: Path) -> None:
    with pytest.raises(ModelNotFound):
        catalog.find("new")
    put(root / "models" / "Stable-diffusion" / "new.safetensors")
    assert catalog.find("new").name == "new"


@pytest.mark.skipif(os.name == "nt", reason="making links needs rights there")
def test_links(root: Path, box: Path, tmp_path: Path) -> None:
    home = root / "models" / "Stable-diffusion"
    outside = put(tmp_path / "disk" / "linked.safetensors")
    (home / "linked.safetensors").symlink_to(outside)
    (home / "round").symlink_to(home)
    (home / "circle.safetensors").symlink_to(home / "circle.safetensors")
    free = Catalog([root], box=box)
    assert free.find("linked").path == home / "linked.safetensors"
    assert len(free.entries()) == len(MODELS) + 2
    confined = Catalog([root], box=box, confined=True)
    for name in ("linked", str(outside), str(home / "linked.safetensors"), "../../../disk/linked.safetensors"):
        with pytest.raises(ModelNotFound):
            confined.find(name)
    assert confined.find("ink").name == "ink"
    assert confined.find(str(home / "Anything.safetensors")).name == "Anything"


def _vae_of(catalog: Catalog, model: str, vae: str | None) -> str | None:
    entry: Entry | None = catalog.vae_of(catalog.find(model), vae)
    return entry.path.parent.name + "/" + entry.path.name if entry else None


@pytest.mark.parametrize("automatic", [None, "Automatic", "automatic", ""])
def test_automatic_vae(automatic: str | None, catalog: Catalog) -> None:
    assert _vae_of(catalog, "Anything", automatic) == "Stable-diffusion/Anything.vae.safetensors"
    assert _vae_of(catalog, "dream", automatic) == "VAE/dream.safetensors"
    assert _vae_of(catalog, "Counterfeit-V3", automatic) is None


def test_chosen_vae(catalog: Catalog, tmp_path: Path) -> None:
    assert _vae_of(catalog, "Anything", "vae-ft-mse") == "VAE/vae-ft-mse.safetensors"
    assert _vae_of(catalog, "Anything", "None") is None
    path = put(tmp_path / "disk" / "v.safetensors")
    assert _vae_of(catalog, "Anything", str(path)) == "disk/v.safetensors"
    with pytest.raises(ModelNotFound, match="VAE"):
        catalog.find("absent", "vae")


def test_hash_cache_is_used(root: Path, box: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    Catalog([root], HashCache(cache), box).with_hash(Catalog([root], box=box).find("dream"))
    assert Catalog([root], HashCache(cache), box).find("dream").sha256
