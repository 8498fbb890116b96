"""Pictures and notes beside model files, in several roots, whoever wrote them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch

from inkwash.checkpoint import Catalog, HashCache, write
from inkwash.checkpoint.beside import Beside, beside
from inkwash.checkpoint.describe import describe
from inkwash.checkpoint.hashes import kohya_hash


def put(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("ending", [".preview.png", ".png", ".jpg", ".preview.jpeg", ".webp"])
def test_a_picture(ending: str, tmp_path: Path) -> None:
    model = put(tmp_path / "ink.v1.safetensors")
    put(tmp_path / "ink.png.txt")
    assert beside(model) == Beside()
    picture = put(tmp_path / f"ink.v1{ending}")
    assert beside(model).picture == picture
    assert beside(tmp_path / "ink.v1").picture == picture, "a diffusers folder"


def test_notes_of_every_program(tmp_path: Path) -> None:
    model = put(tmp_path / "ink.safetensors")
    put(tmp_path / "ink.txt", "\ufeff墨".encode())
    put(
        tmp_path / "ink.json",
        json.dumps({"description": "soft", "notes": "for 512", "activation text": "ink"}).encode(),
    )
    told = {"description": "<p>A &amp; <b>B</b></p><script>x</script><p>C</p>", "trainedWords": ["wash", "ink", 3]}
    put(tmp_path / "ink.civitai.info", json.dumps(told).encode())
    found = beside(model)
    assert found.note == "墨\n\nsoft\n\nfor 512\n\nA & B\nx\nC"
    assert found.words == ("ink", "wash")


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b"[]", b'{"description": 3, "trainedWords": {}}', b"\xff\xfe", b"\0" * 99]
)
def test_damaged_notes_are_passed_over(text: bytes, tmp_path: Path) -> None:
    model = put(tmp_path / "ink.safetensors")
    put(tmp_path / "ink.json", text)
    put(tmp_path / "ink.civitai.info", text)
    (tmp_path / "ink.txt").mkdir()
    assert beside(model) == Beside()


def test_long_notes_are_cut_and_pipes_never_waited_for(tmp_path: Path) -> None:
    model = put(tmp_path / "ink.safetensors")
    put(tmp_path / "ink.civitai.info", json.dumps({"description": "<" * 500_000}).encode())
    os.mkfifo(tmp_path / "ink.txt")
    assert len(beside(model).note) <= 10_000


def test_several_roots_and_links_that_lead_out(tmp_path: Path) -> None:
    first = put(tmp_path / "a1111" / "models" / "Stable-diffusion" / "a.safetensors").parent
    comfy = put(tmp_path / "comfy" / "models" / "checkpoints" / "b.safetensors").parent
    put(tmp_path / "comfy" / "models" / "vae" / "soft.safetensors")
    secret = put(tmp_path / "elsewhere" / "secret.png")
    (first / "b-link.safetensors").symlink_to(comfy / "b.safetensors")
    (first / "outside.safetensors").symlink_to(put(tmp_path / "elsewhere" / "c.safetensors"))
    (first / "a.png").symlink_to(secret)
    (comfy / "b.png").symlink_to(put(tmp_path / "a1111" / "b-picture.png"))
    roots, box = [tmp_path / "a1111", tmp_path / "comfy"], tmp_path / "no-box"
    open_, confined = (Catalog(roots, box=box, confined=confined) for confined in (False, True))
    assert [entry.name for entry in confined.entries()] == ["a", "b-link"]
    assert [entry.name for entry in open_.entries()] == ["a", "b-link", "outside"]
    assert [entry.name for entry in confined.entries("vae")] == ["soft"]
    assert confined.picture(confined.find("a")) is None
    assert open_.picture(open_.find("a")) == first / "a.png"
    both, alone = (Catalog(some, box=box, confined=True) for some in (roots[::-1], roots[1:]))
    assert both.picture(both.find("b")) == comfy / "b.png"
    assert alone.picture(alone.find("b")) is None


def test_kohyas_hash_is_that_of_the_tensors_alone(tmp_path: Path) -> None:
    plain, told = tmp_path / "plain.safetensors", tmp_path / "told.safetensors"
    tensors = {"lora_unet_x.lora_down.weight": torch.arange(8.0)}
    write(plain, tensors)
    write(told, tensors, {"ss_base": "x" * 999})
    expected = hashlib.sha256(torch.arange(8.0).numpy().tobytes()).hexdigest()
    assert kohya_hash(plain) == kohya_hash(told) == expected
    hashes = describe(told, HashCache())["hashes"]
    assert (hashes["kohya"], hashes["AutoV3"]) == (expected, expected[:12].upper())
