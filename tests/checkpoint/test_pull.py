"""Pulling models, against a hub on this machine: what is chosen, continued, checked, refused."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.support.checkpoints import random_weights, sd1_spec, write_ldm
from tests.support.hub import FakeHub, running_hub

from inkwash.checkpoint import DamagedFile, ModelNotFound, UnsupportedModel, detect, save_diffusers, write
from inkwash.checkpoint.hub import Hub, HubError
from inkwash.checkpoint.pull import Pull, carry_out, prepare
from inkwash.checkpoint.wellknown import BY_NAME, WELL_KNOWN
from inkwash.core.errors import InkwashError, InvalidRequest
from inkwash.core.files import CannotWrite

MODEL = "someone/ink"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "ink.safetensors"
    write_ldm(path, sd1_spec(vocabulary=100))
    return path.read_bytes()


@pytest.fixture
def hub(model: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 2**16)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the library waits a second before it tries again
    with running_hub() as fake:
        fake.repositories[MODEL] = {"ink.safetensors": model, "README.md": b"# Ink", ".gitattributes": b""}
        monkeypatch.setenv("HF_ENDPOINT", fake.url)
        monkeypatch.setenv("HF_TOKEN", fake.token)
        yield fake


def pulled(name: str, root: Path, **options: str) -> Pull:
    prepared = prepare(Hub(), name, root, **options)  # type: ignore[arg-type]
    assert carry_out(Hub(), prepared)
    return prepared


def leftovers(root: Path) -> list[Path]:
    return list(root.rglob("*.part"))


PAGE = f"https://huggingface.co/{MODEL}/blob/main/ink.safetensors"


@pytest.mark.parametrize("name", [MODEL, f"{MODEL}/ink.safetensors", PAGE])
def test_a_repository_with_one_model(name: str, hub: FakeHub, model: bytes, tmp_path: Path) -> None:
    target = pulled(name, tmp_path).target
    assert target == tmp_path / "models" / "Stable-diffusion" / "ink.safetensors"
    assert target.read_bytes() == model
    assert leftovers(tmp_path) == []
    assert not carry_out(Hub(), prepare(Hub(), name, tmp_path)), "what is here already is not fetched again"


def test_the_token_stays_with_the_hub(hub: FakeHub, tmp_path: Path) -> None:
    pulled(MODEL, tmp_path)
    assert [asked.authorization for asked in hub.asked] == [None] * len(hub.asked)
    assert hub.asked


def test_a_cut_connection_is_taken_up_again(hub: FakeHub, model: bytes, tmp_path: Path) -> None:
    hub.cuts = [len(model) // 3, len(model) // 4]
    assert pulled(MODEL, tmp_path).target.read_bytes() == model
    starts = [asked.range for asked in hub.asked if not (asked.range or "").startswith("bytes=0-")]
    assert len(starts) == 3  # the whole, and twice the rest of it
    assert starts[0] is None
    assert starts[1] == f"bytes={len(model) // 3 // 2**16 * 2**16}-"


def test_a_pull_that_was_stopped_goes_on_where_it_was(hub: FakeHub, model: bytes, tmp_path: Path) -> None:
    prepared = prepare(Hub(), MODEL, tmp_path)

    def stop(here: int, size: int) -> None:
        if here > size // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(Hub(), prepared, stop)
    [part] = leftovers(tmp_path)
    half = part.stat().st_size
    assert len(model) // 2 < half < len(model)
    assert not prepared.target.exists()
    told: list[tuple[int, int]] = []
    carry_out(Hub(), prepared, lambda here, size: told.append((here, size)))
    assert hub.asked[-1].range == f"bytes={half}-"
    assert told[0] == (half, len(model))
    assert told[-1] == (len(model), len(model))
    assert prepared.target.read_bytes() == model


def test_a_server_without_ranges_starts_again(hub: FakeHub, model: bytes, tmp_path: Path) -> None:
    hub.ranges = False
    hub.cuts = [10**9, 10**9, len(model) // 2]  # the header is asked for twice
    assert pulled(MODEL, tmp_path).target.read_bytes() == model


def test_a_wrong_checksum_leaves_nothing(hub: FakeHub, tmp_path: Path) -> None:
    hub.stated["ink.safetensors"] = "0" * 64
    prepared = prepare(Hub(), MODEL, tmp_path)
    with pytest.raises(DamagedFile, match="checksum"):
        carry_out(Hub(), prepared)
    assert not prepared.target.exists()
    assert leftovers(tmp_path) == []


def test_a_connection_that_stays_cut(hub: FakeHub, tmp_path: Path) -> None:
    hub.cuts = [0] * 20
    prepared = prepare(Hub(), MODEL, tmp_path)
    with pytest.raises(HubError, match="broke off") as caught:
        carry_out(Hub(), prepared)
    assert "the same command goes on" in caught.value.remedy
    assert not prepared.target.exists()


def test_it_is_checked_that_the_disk_holds_it(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    asked = len(hub.asked)
    prepared = prepare(Hub(), MODEL, tmp_path)
    header = len(hub.asked)
    with pytest.raises(CannotWrite, match="GB left"):
        carry_out(Hub(), prepared)
    assert len(hub.asked) == header > asked


def test_gated_missing_and_unreachable(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated.add(MODEL)
    assert pulled(MODEL, tmp_path).target.exists()
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(HubError, match="accepted their terms") as caught:
        prepare(Hub(), MODEL, tmp_path)
    assert f"{hub.url}/{MODEL}" in caught.value.remedy
    with pytest.raises(HubError, match="has no model someone/else"):
        prepare(Hub(), "someone/else", tmp_path)
    with pytest.raises(HubError, match="cannot be reached") as caught:
        prepare(Hub("http://127.0.0.1:9"), MODEL, tmp_path)
    assert "hf-mirror.com" in caught.value.remedy
    hub.status = 503
    with pytest.raises(HubError, match="status 503"):
        prepare(Hub(), MODEL, tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        prepare(Hub(), MODEL, tmp_path)


def test_every_kind_goes_into_its_folder(hub: FakeHub, model: bytes, tmp_path: Path) -> None:
    lora, vae, flux = tmp_path / "l.safetensors", tmp_path / "v.safetensors", tmp_path / "f.safetensors"
    write(lora, {"lora_unet_x.lora_down.weight": torch.ones(200, 200)})
    write(vae, {"decoder.up.0.block.0.conv1.weight": torch.ones(200, 200)})
    write(flux, {"double_blocks.0.img_attn.weight": torch.ones(200, 200)})
    for path in (lora, vae, flux):
        hub.repositories[f"some/{path.stem}"] = {path.name: path.read_bytes()}
    root = tmp_path / "comfy"
    (root / "models" / "loras").mkdir(parents=True)
    assert pulled("some/l", root, saved="ink-lora").target == root / "models" / "loras" / "ink-lora.safetensors"
    assert pulled("some/v", root).target == root / "models" / "VAE" / "v.safetensors"
    assert pulled("some/v", root, kind="upscaler").target == root / "models" / "ESRGAN" / "v.safetensors"
    with pytest.raises(UnsupportedModel, match="Flux"):
        prepare(Hub(), "some/f", root)
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "own.safetensors").write_bytes(model)
    assert pulled(MODEL, plain).target == plain / "ink.safetensors"


def test_a_diffusers_folder(hub: FakeHub, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    spec = sd1_spec(vocabulary=100)
    save_diffusers(folder, random_weights(spec), spec)
    root = tmp_path / "root"
    held = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    weights = held["unet/diffusion_pytorch_model.safetensors"]
    held |= {"unet/diffusion_pytorch_model.non_ema.safetensors": weights, "unet/diffusion_pytorch_model.bin": b"x",
             "old.ckpt": b"x" * 2**17, "unet/../../escape.json": b"{}"}  # fmt: skip
    hub.repositories["some/pipeline"] = held
    prepared = prepare(Hub(), "some/pipeline", root)
    assert prepared.folder

    def stop(here: int, size: int) -> None:
        if here > size // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(Hub(), prepared, stop)
    assert not prepared.target.exists()
    assert carry_out(Hub(), prepared)
    assert prepared.target == root / "models" / "Stable-diffusion" / "pipeline"
    assert detect(prepared.target).family == "sd1"
    written = [path.name for path in prepared.target.rglob("*")]
    assert not any("non_ema" in name or name.endswith(".bin") for name in written)
    assert not carry_out(Hub(), prepared)
    hub.repositories["some/half"] = {**held, "unet/diffusion_pytorch_model.fp16.safetensors": weights}
    names = [file.name for file in prepare(Hub(), "some/half", tmp_path).files]
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in names
    assert "unet/diffusion_pytorch_model.safetensors" not in names


def test_what_is_ambiguous_is_asked(hub: FakeHub, model: bytes, tmp_path: Path) -> None:
    hub.repositories["some/two"] = {"a.safetensors": model, "b.safetensors": model}
    with pytest.raises(InvalidRequest, match="2 models") as caught:
        prepare(Hub(), "some/two", tmp_path)
    assert "some/two/b.safetensors" in caught.value.remedy
    hub.repositories["some/old"] = {"old.ckpt": b"x" * 2**17}
    prepared = prepare(Hub(), "some/old", tmp_path)
    assert "pickle" in prepared.notes[0]
    assert prepared.target.name == "old.ckpt"
    hub.repositories["some/none"] = {"README.md": b"hello"}
    with pytest.raises(ModelNotFound, match="no model file"):
        prepare(Hub(), "some/none", tmp_path)


def test_nothing_that_is_there_is_overwritten(hub: FakeHub, tmp_path: Path) -> None:
    prepared = prepare(Hub(), MODEL, tmp_path)
    prepared.target.parent.mkdir(parents=True)
    prepared.target.write_bytes(b"mine")
    with pytest.raises(CannotWrite, match="exists already") as caught:
        carry_out(Hub(), prepared)
    assert "--name" in caught.value.remedy
    assert prepared.target.read_bytes() == b"mine"


@pytest.mark.parametrize(
    "name",
    ["", "nothing", "a/b/../../c", "../../etc/passwd", "a b/c", f"{MODEL}/missing.safetensors", f"{MODEL}/README.md"],
)
def test_mistaken_names(name: str, hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(InkwashError):
        prepare(Hub(), name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("saved", ["../x", "a/b", ".hidden", "a\0b"])
def test_a_name_stays_in_its_folder(saved: str, hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no name for a file"):
        prepare(Hub(), MODEL, tmp_path, saved=saved)


def test_well_known_models_are_pulled_by_their_names(hub: FakeHub, model: bytes, tmp_path: Path) -> None:
    known = BY_NAME["dreamshaper-8"]
    hub.repositories[known.repository] = {known.file: model, "DreamShaper_7_pruned.safetensors": model}
    assert pulled("DreamShaper-8", tmp_path).target.name == known.file
    lora = BY_NAME["lcm-lora-sd15"]
    hub.repositories[lora.repository] = {lora.file: b"x" * 2**17}
    assert prepare(Hub(), lora.name, tmp_path).target == tmp_path / "models" / "Lora" / "lcm-lora-sdv1-5.safetensors"
    with pytest.raises(ModelNotFound, match="neither") as caught:
        prepare(Hub(), "dreamshaper", tmp_path)
    assert "dreamshaper-8" in caught.value.remedy
    assert len(BY_NAME) == len(WELL_KNOWN)
    assert all(one.what.en and one.what.zh and one.licence and one.gigabytes > 0 for one in WELL_KNOWN)
