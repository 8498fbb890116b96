"""Where models lie: the folders of A1111 and ComfyUI, or any folder of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from inkwash.checkpoint.folder import is_pipeline
from inkwash.core.errors import InvalidRequest

Kind = Literal["model", "vae", "upscaler", "face restorer", "depth", "background"]
FileKind = Literal[
    "model", "vae", "lora", "embedding", "controlnet", "upscaler", "face restorer", "depth", "background"
]

SUFFIXES = (".safetensors", ".ckpt", ".pt")  # of two files that differ in nothing else, the first is meant
NETWORK_SUFFIXES = (*SUFFIXES, ".pth")  # of upscalers and face restorers
VAE_SUFFIXES = tuple(f".vae{suffix}" for suffix in SUFFIXES)  # a VAE beside its model
# A1111's name first: there messages tell people to put files.  Case does not count.
FOLDERS: dict[FileKind, tuple[str, ...]] = {
    "model": ("Stable-diffusion", "checkpoints"),
    "vae": ("VAE",),
    "upscaler": ("ESRGAN", "RealESRGAN", "SwinIR", "BSRGAN", "ScuNET", "DAT", "HAT", "upscale_models"),
    "face restorer": ("GFPGAN", "Codeformer", "RestoreFormer", "facerestore_models"),
    "depth": ("depth", "midas"),
    "background": ("rembg", "u2net"),
}
HOMES: dict[FileKind, tuple[str, ...]] = {
    **FOLDERS,
    "lora": ("Lora", "loras"),
    "embedding": ("embeddings",),
    "controlnet": ("ControlNet",),
}
NO_RESTORERS = ("detection_", "parsing_")  # what A1111 keeps beside face restorers: networks that find faces
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
    *("bsrgan", "scunet", "facerestore_models", "restoreformer"),
    *("codeformer", "gfpgan", "depth", "midas", "rembg", "u2net", "outputs", "venv", "node_modules"),
)


def folders(root: Path, kind: Kind) -> list[Path]:
    """The folders for one kind under ``root``, A1111's or ComfyUI's own or its ``models``; none in a plain folder."""
    names = [name.lower() for name in FOLDERS[kind]]
    children = [child for base in (root / "models", root) for child in _subfolders(base)]
    return [child for child in children if child.name.lower() in names]


def home(root: Path, kind: FileKind) -> Path:
    """Where a new file of that kind goes: a folder that is there, A1111's or ComfyUI's, else A1111's, not yet made."""
    names = [name.lower() for name in HOMES[kind]]
    bases = (root / "models", root)
    there = next((child for base in bases for child in _subfolders(base) if child.name.lower() in names), None)
    if there is not None:
        return there
    if kind == "embedding":
        return (root.parent if root.name == "models" else root) / HOMES[kind][0]
    plain = not folders(root, "model") and any(_walk(root, set()))  # a folder of files alone, which stays one
    if plain and kind == "model":
        return root
    return (root if plain or root.name == "models" else root / "models") / HOMES[kind][0]


def plain_name(name: str) -> str:
    """A file name that stays in its folder on every system.  Raises InvalidRequest."""
    odd = set(name) & set('/\\:*?"<>|') or any(character < " " for character in name)
    if not name.strip() or name.startswith(".") or name != name.rstrip(". ") or odd or len(name.encode()) > 150:
        raise InvalidRequest(f"{name[:80]!r} is no name for a file.", "Use letters, digits, -, _ and .", "name")
    return name


def files(root: Path, kind: Kind) -> Iterator[tuple[Path, Path]]:
    """(searched folder, file of that kind in it).  Diffusers folders count as models; links are followed."""
    if kind in ("upscaler", "face restorer"):
        for folder in folders(root, kind):
            yield from ((folder, path) for path in _walk(folder, set(), NETWORK_SUFFIXES) if _is_network(path))
        return
    models = folders(root, "model") or [root]
    for folder in models:
        for path in _walk(folder, set()):
            if path.name.lower().endswith(VAE_SUFFIXES) == (kind == "vae"):
                yield folder, path
    if kind == "vae":
        yield from (
            (folder, path) for folder in folders(root, "vae") for path in _walk(folder, set()) if path.is_file()
        )


def _is_network(path: Path) -> bool:
    return path.is_file() and not path.name.lower().startswith(NO_RESTORERS)


def _walk(folder: Path, seen: set[str], suffixes: tuple[str, ...] = SUFFIXES) -> Iterator[Path]:
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
                yield from _walk(path, seen, suffixes)
        elif path.name.lower().endswith(suffixes):
            yield path


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _children(folder) if path.is_dir()]


def _children(folder: Path) -> list[Path]:
    """What lies in ``folder``, hidden things apart, by name; nothing if it cannot be read."""
    try:
        return sorted(folder / name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []
