"""Where models lie: the folders of A1111 and ComfyUI, or any folder of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from inkwash.checkpoint.folder import is_pipeline

Kind = Literal["model", "vae", "depth", "background"]

SUFFIXES = (".safetensors", ".ckpt", ".pt")  # of two files that differ in nothing else, the first is meant
VAE_SUFFIXES = tuple(f".vae{suffix}" for suffix in SUFFIXES)  # a VAE beside its model
# A1111's name first: there messages tell people to put files.  Case does not count.
FOLDERS: dict[Kind, tuple[str, ...]] = {
    "model": ("Stable-diffusion", "checkpoints"),
    "vae": ("VAE",),
    "depth": ("depth", "midas"),
    "background": ("rembg", "u2net"),
}
# Folders of other things, which are passed over when a root has no folder for models.
_OTHERS = (
    *(
        "vae",
        "vae_approx",
        "lora",
        "loras",
        "lycoris",
        "hypernetworks",
        "controlnet",
        "embeddings",
        "esrgan",
        "realesrgan",
    ),
    *("swinir", "upscale_models", "clip", "clip_vision", "text_encoders", "unet", "diffusion_models", "style_models"),
    *("codeformer", "gfpgan", "depth", "midas", "rembg", "u2net", "outputs", "venv", "node_modules"),
)


def folders(root: Path, kind: Kind) -> list[Path]:
    """The folders for one kind under ``root``, A1111's or ComfyUI's own or its ``models``; none in a plain folder."""
    names = [name.lower() for name in FOLDERS[kind]]
    children = [child for base in (root / "models", root) for child in _subfolders(base)]
    return [child for child in children if child.name.lower() in names]


def files(root: Path, kind: Kind) -> Iterator[tuple[Path, Path]]:
    """(searched folder, model or VAE in it).  Diffusers folders count as models; links are followed."""
    models = folders(root, "model") or [root]
    for folder in models:
        for path in _walk(folder, set()):
            if path.name.lower().endswith(VAE_SUFFIXES) == (kind == "vae"):
                yield folder, path
    if kind == "vae":
        yield from (
            (folder, path) for folder in folders(root, "vae") for path in _walk(folder, set()) if path.is_file()
        )


def _walk(folder: Path, seen: set[str]) -> Iterator[Path]:
    """The model files and diffusers folders below ``folder``, each real folder once."""
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    for path in _children(folder):
        if path.is_dir():
            if is_pipeline(path):
                yield path
            elif path.name.lower() not in _OTHERS:
                yield from _walk(path, seen)
        elif path.name.lower().endswith(SUFFIXES):
            yield path


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _children(folder) if path.is_dir()]


def _children(folder: Path) -> list[Path]:
    """What lies in ``folder``, hidden things apart, by name; nothing if it cannot be read."""
    try:
        return sorted(folder / name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []
